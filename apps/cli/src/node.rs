//! `chainwright node`, and what every command that runs nodes shares.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use chainwright_node::{Log, PeerOptions, Shutdown, make_private_folder, run_to_end};
use chainwright_rpc::{AuthConfig, OpenAccess, ServerConfig};
use serde_json::json;

use crate::args::NodeArgs;
use crate::error::{CliError, CliResult, Context as _};
use crate::import::{NODE_FOLDER, default_data};
use crate::registry::{self, NodeSettings, Overrides, Producer, RunningNode, with_hint};
use crate::{discovery, print, spec, talk};

/// The file in a local network's folder with the key that seals its blocks.
pub(crate) const SEALING_KEY: &str = "sealing.key";

/// This machine alone.
pub(crate) const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The threads that carry sockets and timers.
pub(crate) fn runtime() -> CliResult<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context(|| "cannot start threads".to_owned())
}

/// An RPC server with a cookie in the data directory. Public dialects need no login on this machine.
pub(crate) fn rpc_server(data: &Path, bind: SocketAddr) -> ServerConfig {
    let auth = AuthConfig { cookie_path: Some(data.join(".cookie")), ..AuthConfig::default() };
    ServerConfig { bind: vec![bind], auth, open: Some(OpenAccess::default()), ..ServerConfig::default() }
}

/// As [`rpc_server`], with what the operator says.
fn rpc_server_of(args: &NodeArgs, data: &Path, default_port: u16) -> ServerConfig {
    let address = SocketAddr::new(args.rpc_bind, args.rpc_port.unwrap_or(default_port));
    let mut server = rpc_server(data, address);
    server.cors_origins.clone_from(&args.rpc_cors);
    server.open = server.open.filter(|_| !args.rpc_login);
    if let Some(open) = &mut server.open {
        open.hosts.extend(args.rpc_host.iter().cloned());
    }
    server
}

pub(crate) fn run(args: &NodeArgs, is_json: bool) -> CliResult<()> {
    let file = spec::load(&args.chain)?;
    let mut overrides = Overrides::assume(args.assumevalid.as_deref())?;
    let pace = args.block_time;
    overrides.producer = args.mine.as_ref().map(|address| Producer { address: address.clone(), pace });
    if let Some(path) = &args.sealing_key {
        overrides.sealing_secret = Some(read_sealing_key(path)?);
        overrides.producer.get_or_insert(Producer { address: String::new(), pace });
    }
    overrides.past = args.past.past();
    overrides.calls = args.calls.limits();
    let cell = registry::cell(&file, &overrides)?;
    let data = args.datadir.clone().unwrap_or_else(|| default_data(&file.name).join(NODE_FOLDER));
    make_data_folder(&data)?;
    let listen = match (args.no_listen, args.listen.is_empty()) {
        (true, _) => Vec::new(),
        (false, true) => vec![SocketAddr::new(LOOPBACK, file.network.port)],
        (false, false) => args.listen.clone(),
    };
    let peers = PeerOptions {
        listen,
        connect: args.connect.clone(),
        add: args.add_node.clone(),
        seeds: file.network.seeds.clone(),
        ..PeerOptions::default()
    };
    let rpc = rpc_server_of(args, &data, file.network.rpc_port);
    let mut settings = NodeSettings::new(data.clone(), peers, Some(rpc));
    settings.connections_max = args.max_connections;
    settings.options.store.window_bytes = args.cache_mib.unwrap_or(settings.options.store.window_bytes);
    settings.options.workers = args.threads.unwrap_or(settings.options.workers);
    settings.options.log = Log::open(&data.join("debug.log"), args.print_log, false)
        .context(|| format!("cannot write the log in {}", data.display()))?;
    let shutdown = Shutdown::new();
    let runtime = runtime()?;
    run_to_end(runtime, async {
        shutdown.listen_to_signals().context(|| "cannot listen to signals".to_owned())?;
        let node =
            cell.start(settings, shutdown.clone()).await.map_err(|error| port_hint(&error, &file.name))?;
        announce(&*node, &data, is_json);
        shutdown.requested().await;
        discovery::withdraw(&data);
        node.stop().await.map_err(|failure| {
            CliError::failed(failure).hint(format!("see {}", data.join("debug.log").display()))
        })
    })
}

/// The key that seals a chain whose file names none, for commands that read or write its data: the operator's, or the one that
/// `dev` keeps beside the nodes' folders. Nobody seals with it here; it says whose data that is.
///
/// # Errors
/// When the file that is named holds no key.
pub(crate) fn sealing_secret(
    file: &spec::ChainFile,
    named: Option<&Path>,
    data: &Path,
) -> CliResult<Option<[u8; 32]>> {
    if let Some(path) = named {
        return read_sealing_key(path).map(Some);
    }
    let beside = data.parent().map(|folder| folder.join(SEALING_KEY)).filter(|path| path.is_file());
    match &file.solo {
        Some(section) if section.key.is_none() => beside.map(|path| read_sealing_key(&path)).transpose(),
        _ => Ok(None),
    }
}

/// The secret key in a file of hexadecimal digits.
///
/// # Errors
/// When the file cannot be read or holds no key.
pub(crate) fn read_sealing_key(path: &Path) -> CliResult<[u8; 32]> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| CliError::usage(format!("cannot read {}: {error}", path.display())))?;
    spec::decode_hex(text.trim()).and_then(|bytes| bytes.try_into().ok()).ok_or_else(|| {
        CliError::usage(format!("{} holds no sealing key", path.display()))
            .hint("it is 64 hexadecimal digits, such as `chainwright dev` writes to sealing.key")
    })
}

/// Makes a sealing key in a new file that only its owner can read.
///
/// # Errors
/// When the file exists or cannot be written.
pub(crate) fn make_sealing_key(path: &Path) -> CliResult<[u8; 32]> {
    let mut secret = [0; 32];
    getrandom::fill(&mut secret).context(|| "the system gives no randomness".to_owned())?;
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let written = options.open(path).and_then(|mut file| {
        std::io::Write::write_all(&mut file, format!("{}\n", spec::encode_hex(&secret)).as_bytes())
    });
    written.map_err(|error| {
        CliError::failed(format!("cannot write {}: {error}", path.display()))
            .hint("choose a file that does not exist")
    })?;
    Ok(secret)
}

/// Makes a data directory, for its owner alone, unless it is there.
///
/// # Errors
/// When it cannot be.
pub(crate) fn make_data_folder(data: &Path) -> CliResult<()> {
    make_private_folder(data).map_err(|error| {
        CliError::failed(format!("cannot make {}: {error}", data.display()))
            .hint("name a folder in which you may write with --datadir DIR")
    })
}

/// A start error with the hint that fits best.
fn port_hint(error: &chainwright_node::StartError, chain: &str) -> CliError {
    let error = with_hint(error);
    if error.has_hint() {
        return error;
    }
    error.hint(format!("is a node of {chain} running already? choose ports with --listen and --rpc-port"))
}

fn announce(node: &dyn RunningNode, data: &Path, is_json: bool) {
    let rpc = node.rpc().first().copied();
    if let Some(address) = rpc {
        discovery::announce(data, address);
    }
    let peers: Vec<String> = node.listening().iter().map(SocketAddr::to_string).collect();
    let rpc = rpc.map(|address| address.to_string()).unwrap_or_default();
    if is_json {
        print(json!({ "rpc": rpc, "peers": peers, "datadir": data }).to_string());
        return;
    }
    print(format!("rpc    http://{rpc}   login in {}", data.join(".cookie").display()));
    for address in peers {
        print(format!("peers  {address}"));
    }
    talk(format!("hint: chainwright show chain --rpc {rpc}; Ctrl-C stops the node"));
}
