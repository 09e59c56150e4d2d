//! From options to a node: directories, chain, addresses, log.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use chainwright_node::{Log, PeerOptions, make_private_folder};
use chainwright_rpc::{AuthConfig, IpRange, ServerConfig};

use super::options::{ConfigFile, Options};
use crate::node::LOOPBACK;
use crate::registry::{Assume, NodeSettings, Overrides};
use crate::spec::{self, ChainFile, parse_work};

/// Everything `serve` needs.
pub(super) struct Settings {
    pub(super) chain: ChainFile,
    pub(super) overrides: Overrides,
    pub(super) node: NodeSettings,
    pub(super) data: PathBuf,
    pub(super) log: Log,
    pub(super) warnings: Vec<String>,
    pub(super) pid_file: Option<PathBuf>,
}

/// Networks by Bitcoin Core's name: chain file, folder in the data directory.
const NETWORKS: &[(&str, &str, &str)] = &[
    ("main", "bitcoin-main", ""),
    ("testnet4", "bitcoin-testnet4", "testnet4"),
    ("signet", "bitcoin-signet", "signet"),
    ("regtest", "bitcoin-regtest", "regtest"),
];

/// Where data lives unless told otherwise. Not Bitcoin Core's own directory: its files are not ours to touch.
fn default_base() -> PathBuf {
    std::env::home_dir().unwrap_or_default().join(".chainwright").join("bitcoind")
}

impl Settings {
    /// Reads the configuration file and decides everything.
    ///
    /// # Errors
    /// In Bitcoin Core's words where it has some.
    pub(super) fn read(mut options: Options) -> Result<Self, String> {
        let base = base_directory(&options)?;
        let file = read_config(&options, &base)?;
        let network = network(&options, file.as_ref())?;
        if let Some(file) = &file {
            options
                .add_file(file, network.0)
                .map_err(|error| format!("Error reading configuration file: {error}"))?;
        }
        let (_, preset, folder) = network;
        let data = base.join(folder);
        make_private_folder(&data)
            .map_err(|error| format!("Cannot create data directory {}: {error}", data.display()))?;
        let chain = spec::load(preset).map_err(|error| error.to_string())?;
        let log = open_log(&options, &data)?;
        let mut node =
            NodeSettings::new(data.clone(), peers(&options, &chain)?, rpc(&options, &chain, &data)?);
        node.connections_max = options.number("maxconnections")?.unwrap_or(node.connections_max);
        node.options.log = log.clone();
        node.options.workers = workers(options.number("par")?.unwrap_or(0));
        node.options.keeps_pool = options.flag("persistmempool", true);
        node.options.network_active = options.flag("networkactive", true);
        node.options.stop_at_height = options.number("stopatheight")?.unwrap_or(0);
        node.options.store.window_bytes = cache_bytes(&options, node.options.store.window_bytes)?;
        node.options.mock_time = options.number("mocktime")?.filter(|time: &u64| *time > 0);
        let pid = options.value("pid").unwrap_or("bitcoind.pid");
        let pid_file = (!options.is_off("pid")).then(|| data.join(pid));
        let overrides = overrides(&options)?;
        let warnings = std::mem::take(&mut options.warnings);
        Ok(Self { chain, overrides, node, data, log, warnings, pid_file })
    }
}

fn base_directory(options: &Options) -> Result<PathBuf, String> {
    let Some(path) = options.value("datadir").filter(|path| !path.is_empty()) else {
        let base = default_base();
        make_private_folder(&base)
            .map_err(|error| format!("Cannot create data directory {}: {error}", base.display()))?;
        return Ok(base);
    };
    let base = std::path::absolute(path).map_err(|error| format!("-datadir={path}: {error}"))?;
    if !base.is_dir() {
        return Err(format!("Specified data directory \"{path}\" does not exist."));
    }
    Ok(base)
}

fn read_config(options: &Options, base: &Path) -> Result<Option<ConfigFile>, String> {
    let named = options.value("conf");
    let path = base.join(named.filter(|name| !name.is_empty()).unwrap_or("bitcoin.conf"));
    if options.is_off("conf") {
        return Ok(None);
    }
    match std::fs::read_to_string(&path) {
        Ok(text) => ConfigFile::parse(&text)
            .map(Some)
            .map_err(|error| format!("Error reading configuration file: {error}")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && named.is_none() => Ok(None),
        Err(_) => Err(format!(
            "Error reading configuration file: specified config file \"{}\" could not be opened.",
            path.display()
        )),
    }
}

fn network(
    options: &Options,
    file: Option<&ConfigFile>,
) -> Result<(&'static str, &'static str, &'static str), String> {
    let top = |name: &str| file.and_then(|file| file.top(name));
    let is_on = |value: &str| value.is_empty() || value.parse::<i64>().is_ok_and(|number| number != 0);
    let flags = ["regtest", "signet", "testnet4"];
    let is_set = |name: &&&str| match options.value(name) {
        Some(value) => is_on(value),
        None => top(name).is_some_and(is_on),
    };
    let chosen: Vec<&str> = flags.iter().filter(is_set).copied().collect();
    let chain = options.value("chain").or_else(|| top("chain"));
    if chosen.len() + usize::from(chain.is_some()) > 1 {
        return Err(
            "Invalid combination of -regtest, -signet, -testnet, -testnet4 and -chain. Can use at most one."
                .into(),
        );
    }
    let wanted = chain.or_else(|| chosen.first().copied()).unwrap_or("main");
    let found = NETWORKS.iter().find(|(name, _, _)| *name == wanted).copied();
    found.ok_or_else(|| format!("Unknown chain {wanted}."))
}

fn open_log(options: &Options, data: &Path) -> Result<Log, String> {
    let is_printed = options.flag("printtoconsole", true);
    let is_verbose = options.has("debug") && !matches!(options.value("debug"), Some("0" | "none"));
    if options.is_off("debuglogfile") {
        return Ok(Log::none());
    }
    let file =
        data.join(options.value("debuglogfile").filter(|name| !name.is_empty()).unwrap_or("debug.log"));
    Log::open(&file, is_printed, is_verbose)
        .map_err(|_| format!("Could not open debug log file {}", file.display()))
}

fn peers(options: &Options, chain: &ChainFile) -> Result<PeerOptions, String> {
    let port = options.number("port")?.unwrap_or(chain.network.port);
    let connect = options.values("connect");
    let binds = options.values("bind");
    // As in Bitcoin Core, -connect switches listening off unless it is asked for.
    let is_default_on = !options.has("connect") || !binds.is_empty();
    let listen = if options.flag("listen", is_default_on) {
        let addresses = binds.iter().map(|text| {
            address(text.trim_end_matches("=onion"), port)
                .ok_or_else(|| format!("Cannot resolve -bind address: '{text}'"))
        });
        let listen = addresses.collect::<Result<Vec<_>, _>>()?;
        if listen.is_empty() { vec![SocketAddr::new(LOOPBACK, port)] } else { listen }
    } else {
        Vec::new()
    };
    let seeds = if options.flag("dnsseed", !options.has("connect")) {
        chain.network.seeds.clone()
    } else {
        Vec::new()
    };
    let seeds = seeds.into_iter().chain(options.values("seednode")).collect();
    let none = options.is_off("connect");
    // `-connect=0` stays alone: a name that is never dialled keeps automatic connections off.
    let connect = if none { vec![String::new()] } else { connect };
    Ok(PeerOptions { listen, connect, add: options.values("addnode"), seeds, ..PeerOptions::default() })
}

fn address(text: &str, port: u16) -> Option<SocketAddr> {
    let ip = || text.trim_matches(['[', ']']).parse::<IpAddr>().ok();
    text.parse().ok().or_else(|| Some(SocketAddr::new(ip()?, port)))
}

fn rpc(options: &Options, chain: &ChainFile, data: &Path) -> Result<Option<ServerConfig>, String> {
    if !options.flag("server", true) {
        return Ok(None);
    }
    let port = options.number("rpcport")?.unwrap_or(chain.network.rpc_port);
    let allow = options.values("rpcallowip");
    let ranges = allow.iter().map(|text| {
        IpRange::parse(text).ok_or_else(|| {
            format!(
                "Invalid -rpcallowip subnet specification: {text}. Valid values are a single IP (e.g. 1.2.3.4), a \
                 network/netmask (e.g. 1.2.3.4/255.255.255.0), a network/CIDR (e.g. 1.2.3.4/24), all ipv4 \
                 (0.0.0.0/0), or all ipv6 (::/0)."
            )
        })
    });
    let ranges = ranges.collect::<Result<Vec<_>, _>>()?;
    let binds = options.values("rpcbind");
    // Bitcoin Core ignores -rpcbind without -rpcallowip: nobody from outside could ask anyway.
    let bind = if binds.is_empty() || allow.is_empty() {
        vec![SocketAddr::new(LOOPBACK, port)]
    } else {
        let addresses = binds.iter().map(|text| {
            address(text, port)
                .ok_or_else(|| format!("Invalid port or address specified in -rpcbind: '{text}'"))
        });
        addresses.collect::<Result<Vec<_>, _>>()?
    };
    let password = options.value("rpcpassword").filter(|password| !password.is_empty());
    let user = options.value("rpcuser").unwrap_or_default();
    let cookie = options.value("rpccookiefile").filter(|name| !name.is_empty()).unwrap_or(".cookie");
    let auth = AuthConfig {
        cookie_path: (!options.is_off("rpccookiefile")).then(|| data.join(cookie)),
        user_password: password.map(|password| (user.to_owned(), password.to_owned())),
        rpcauth: options.values("rpcauth"),
    };
    let default = ServerConfig::default();
    let seconds = options.number("rpcservertimeout")?.map(Duration::from_secs);
    Ok(Some(ServerConfig {
        bind,
        allow: ranges,
        auth,
        // As Bitcoin Core: at least one of each.
        threads: options.number("rpcthreads")?.unwrap_or(default.threads).max(1),
        queue_depth: options.number("rpcworkqueue")?.unwrap_or(default.queue_depth).max(1),
        request_timeout: seconds.unwrap_or(default.request_timeout),
        ..default
    }))
}

/// Memory for rows that are not on disk yet (Bitcoin Core `-dbcache`, in MiB, at least 4).
fn cache_bytes(options: &Options, default: usize) -> Result<usize, String> {
    const MIB_MIN: i64 = 4;
    const MIB_MAX: i64 = 1 << 20;
    let mib = options.number::<i64>("dbcache")?;
    Ok(mib.map_or(default, |mib| (mib.clamp(MIB_MIN, MIB_MAX) as usize) << 20))
}

/// Threads for checking: 0 is one per core, a negative number leaves as many cores free.
fn workers(par: i32) -> usize {
    let cores = chainwright_node::WorkerThreads::default_width();
    if par > 0 { par as usize } else { cores.saturating_sub(par.unsigned_abs() as usize).max(1) }
}

fn overrides(options: &Options) -> Result<Overrides, String> {
    let shown = |error: crate::error::CliError| error.to_string();
    let work = options.value("minimumchainwork").map(|work| {
        parse_work(work)
            .map_err(|_| format!("Invalid minimum work specified ({work}), must be up to 64 hex digits"))
    });
    let minimum_work = work.transpose()?;
    let assumed = options.value("assumevalid").map(|id| {
        // `0` assumes nothing; leading zeros may be left out.
        let digits = id.trim_start_matches("0x");
        if digits.trim_start_matches('0').is_empty() { "none".to_owned() } else { format!("{digits:0>64}") }
    });
    Ok(Overrides {
        assume: Assume::parse(assumed.as_deref()).map_err(shown)?,
        minimum_work,
        blocks_only: options.flag("blocksonly", false),
        agent_comments: options.values("uacomment"),
        ..Overrides::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(flags: &[&str]) -> Options {
        Options::parse(flags.iter().map(|flag| (*flag).to_owned())).unwrap()
    }

    #[test]
    fn limits_of_the_server_and_the_cache_are_taken() {
        let chain = spec::load("bitcoin-regtest").unwrap();
        let server = |flags: &[&str]| rpc(&options(flags), &chain, Path::new("data")).map(Option::unwrap);
        let given = server(&["-rpcthreads=3", "-rpcworkqueue=5", "-rpcservertimeout=7"]).unwrap();
        assert_eq!((given.threads, given.queue_depth, given.request_timeout.as_secs()), (3, 5, 7));
        let least = server(&["-rpcthreads=0", "-rpcworkqueue=0"]).unwrap();
        assert_eq!((least.threads, least.queue_depth), (1, 1));
        assert_eq!(server(&["-rpcthreads=many"]).unwrap_err(), "Invalid value for -rpcthreads: 'many'");
        let cache = |flags: &[&str]| cache_bytes(&options(flags), 9).unwrap() >> 20;
        assert_eq!((cache(&["-dbcache=450"]), cache(&["-dbcache=-1"]), cache(&[])), (450, 4, 0));
    }
}
