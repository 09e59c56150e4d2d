//! `chainwright dev`: a local network of a chain in one process. Nodes with stores of their own, peers over real
//! sockets, RPC servers on ports of their own; one of them makes blocks; a payment shows that everything works.
//!
//! ```text
//!   <data>/wallet.json       keys that mining pays          <data>/node-1 …   one folder per node
//!   <data>/receiver.json     keys that the payment goes to  <data>/sealing.key  solo chains only
//! ```
//!
//! Invariant: what this command knows of its nodes after the start it learns through their RPC servers.

mod claim;
mod payment;
mod status;

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use chainwright_node::{Log, PeerOptions, Shutdown, StartError, run_to_end};
use chainwright_rpc_ethereum::Past;
use chainwright_store::OpenError;
use serde_json::json;

use crate::args::DevArgs;
use crate::error::{CliError, CliResult, Context as _};
use crate::import::default_data;
use crate::node::{
    LOOPBACK, SEALING_KEY, make_data_folder, make_sealing_key, read_sealing_key, rpc_server, runtime,
};
use crate::registry::{self, NodeSettings, Overrides, Producer, RunningNode, with_hint};
use crate::rpc_client::{Login, Rpc};
use crate::spec::{self, ChainFile, Engine, LedgerKind};
use crate::wallet::{DEV_WALLET, LocalWallet};
use crate::{discovery, print, talk};
use status::Status;

/// How many nodes there are unless somebody says otherwise.
const NODES: u8 = 3;
/// Between the ports of two nodes.
const PORT_STEP: u16 = 10;
/// Between the blocks of a new sealer until its first reward can be spent.
const FIRST_PACE: Duration = Duration::from_millis(10);

/// One node of the network.
struct Member {
    node: Box<dyn RunningNode>,
    shutdown: Shutdown,
    data: PathBuf,
    rpc: SocketAddr,
    peers: SocketAddr,
}

impl Member {
    /// A fresh connection to its RPC server.
    fn connect(&self) -> Rpc {
        Rpc::new(self.rpc.to_string(), Login::Cookie(self.data.join(".cookie")))
    }
}

/// The network, and what its operator holds.
struct Network {
    file: ChainFile,
    data: PathBuf,
    block_time: Duration,
    wallet: Option<LocalWallet>,
    members: Vec<Member>,
    /// Ctrl-C, SIGTERM.
    shutdown: Shutdown,
    is_json: bool,
    /// How much of the past its nodes answer for.
    past: Option<Past>,
}

pub(crate) fn run(args: &DevArgs, is_json: bool) -> CliResult<()> {
    let file = spec::load(&args.chain)?;
    let Some(dev) = file.dev else {
        return Err(CliError::usage(format!(
            "{} is no chain for local networks: its file has no [dev]",
            file.name
        ))
        .hint(format!(
            "`chainwright node --chain {}` joins it; `chainwright dev` runs bitcoin-regtest",
            args.chain
        )));
    };
    let data = args.datadir.clone().unwrap_or_else(|| default_data(&file.name));
    make_data_folder(&data)?;
    let block_time = args.block_time.unwrap_or_else(|| Duration::from_secs_f64(dev.block_time_seconds));
    let wallet = match file.ledger {
        LedgerKind::Utxo => Some(LocalWallet::open_or_create(&data.join(DEV_WALLET), &file)?),
        LedgerKind::Names | LedgerKind::Evm => None,
    };
    let runtime = runtime()?;
    let shutdown = Shutdown::new();
    runtime
        .block_on(async { shutdown.listen_to_signals() })
        .context(|| "cannot listen to signals".to_owned())?;
    let (past, members) = (args.past.past(), Vec::new());
    let mut network = Network { file, data, block_time, wallet, members, shutdown, is_json, past };
    let lived = network.start(args, &runtime).and_then(|()| network.live());
    let stopped = network.stop(&runtime);
    run_to_end(runtime, async {});
    lived.and(stopped)
}

impl Network {
    fn start(&mut self, args: &DevArgs, runtime: &tokio::runtime::Runtime) -> CliResult<()> {
        let rpc_base = args.rpc_port.unwrap_or(self.file.network.rpc_port);
        self.seal_first_rewards(rpc_base, runtime)?;
        let count = args.nodes.or(self.file.dev.and_then(|dev| dev.nodes)).unwrap_or(NODES);
        for number in 0..u16::from(count) {
            let member = self.launch(number, self.block_time, rpc_base, runtime)?;
            discovery::announce(&member.data, member.rpc);
            self.members.push(member);
        }
        self.introduce();
        Ok(())
    }

    /// A sealer's first reward can be spent after as many blocks as a miner's; nobody should have to wait for them.
    fn seal_first_rewards(&self, rpc_base: u16, runtime: &tokio::runtime::Runtime) -> CliResult<()> {
        let is_new = !self.data.join("node-1").exists();
        let Some(maturity) = self.file.utxo.as_ref().map(|utxo| u64::from(utxo.coinbase_maturity)) else {
            return Ok(());
        };
        if self.file.consensus != Engine::Solo || !is_new {
            return Ok(());
        }
        let sealer = self.launch(0, FIRST_PACE, rpc_base, runtime)?;
        let mut rpc = sealer.connect();
        let until = Instant::now() + payment::AGREE_LIMIT;
        let reached = self
            .wait("the first reward", until, |_| Ok((status::height(&mut rpc)? > maturity).then_some(())));
        let stopped = runtime.block_on(sealer.node.stop()).map_err(CliError::failed);
        reached.and(stopped)
    }

    fn launch(
        &self,
        number: u16,
        pace: Duration,
        rpc_base: u16,
        runtime: &tokio::runtime::Runtime,
    ) -> CliResult<Member> {
        let (sealing_secret, past) = (self.sealing_secret()?, self.past);
        let mut overrides = Overrides { sealing_secret, past, ..Overrides::default() };
        if number == 0 {
            let address = self.wallet.as_ref().map(|wallet| wallet.address(0)).unwrap_or_default();
            // No pace is none: a block as soon as a transaction waits.
            let pace = Some(pace).filter(|pace| !pace.is_zero());
            overrides.producer = Some(Producer { address, pace });
        }
        let data = self.data.join(format!("node-{}", number + 1));
        let rpc = free_or_any(rpc_base.saturating_add(number * PORT_STEP));
        let peers = free_or_any(self.file.network.port.saturating_add(number * PORT_STEP));
        let shutdown = Shutdown::new();
        let try_start = |peers, rpc| -> CliResult<_> {
            let cell = registry::cell(&self.file, &overrides)?;
            Ok(runtime.block_on(cell.start(self.settings(&data, peers, rpc)?, shutdown.clone())))
        };
        let any = SocketAddr::new(LOOPBACK, 0);
        let started = match try_start(peers, rpc)? {
            // Somebody was faster with a port that was free a moment ago.
            Err(StartError::Rpc(_) | StartError::Fault(_)) => once_unlocked(|| try_start(any, any))?,
            other => other,
        };
        let node = started.map_err(|error| in_use_hint(with_hint(&error)))?;
        let missing = || CliError::failed("a node started without its servers");
        let rpc = node.rpc().first().copied().ok_or_else(missing)?;
        let peers = node.listening().first().copied().ok_or_else(missing)?;
        Ok(Member { node, shutdown, data, rpc, peers })
    }

    /// Every node connects to those before it.
    fn settings(&self, data: &Path, listen: SocketAddr, rpc: SocketAddr) -> CliResult<NodeSettings> {
        make_data_folder(data)?;
        let peers = PeerOptions {
            listen: vec![listen],
            // An empty name is nobody: the first node waits for the others.
            connect: match self.members.as_slice() {
                [] => vec![String::new()],
                members => members.iter().map(|member| member.peers.to_string()).collect(),
            },
            ..PeerOptions::default()
        };
        let mut settings = NodeSettings::new(data.to_path_buf(), peers, Some(rpc_server(data, rpc)));
        settings.options.workers = 1;
        settings.options.log = Log::open(&data.join("debug.log"), false, false)
            .context(|| format!("cannot write the log in {}", data.display()))?;
        Ok(settings)
    }

    /// The key that seals, kept between runs.
    fn sealing_secret(&self) -> CliResult<Option<[u8; 32]>> {
        if self.file.consensus != Engine::Solo {
            return Ok(None);
        }
        let path = self.data.join(SEALING_KEY);
        if path.exists() {
            return read_sealing_key(&path).map(Some);
        }
        make_sealing_key(&path).map(Some)
    }

    /// Says where everything is.
    fn introduce(&self) {
        let wallet = self.data.join(DEV_WALLET);
        let address = self.wallet.as_ref().map(|wallet| wallet.address(0));
        if self.is_json {
            let nodes: Vec<_> = self
                .members
                .iter()
                .map(|member| {
                    json!({ "rpc": member.rpc.to_string(), "peers": member.peers.to_string(), "datadir": member.data,
                            "cookie": member.data.join(".cookie") })
                })
                .collect();
            print(
                json!({ "event": "started", "chain": self.file.name, "nodes": nodes, "mining_to": address })
                    .to_string(),
            );
            return;
        }
        let pace = if self.block_time.is_zero() {
            "a block as soon as a transaction waits".to_owned()
        } else {
            format!("a block every {:?}", self.block_time)
        };
        let count = self.members.len();
        print(format!("{}: {count} node{}, {pace}", self.file.name, if count == 1 { "" } else { "s" }));
        for (index, member) in self.members.iter().enumerate() {
            print(format!(
                "  node {}   rpc http://{}   peers {}   data {}",
                index + 1,
                member.rpc,
                member.peers,
                member.data.display()
            ));
        }
        if let Some(address) = address {
            print(format!("  mining to  {address}   keys in {}", wallet.display()));
        }
    }

    /// Money, a payment, and then watching until somebody says stop.
    fn live(&mut self) -> CliResult<()> {
        let shown = match self.file.ledger {
            LedgerKind::Utxo => self.show_payment(),
            LedgerKind::Names => self.show_claim(),
            LedgerKind::Evm => Ok(()),
        };
        match shown {
            Ok(()) => {}
            // Interrupted while waiting is no failure.
            Err(_) if self.is_stopping() => return Ok(()),
            Err(error) => return Err(error),
        }
        self.suggest();
        let mut status = Status::new(self.is_json);
        while !self.is_stopping() {
            status.update(&self.members);
            self.pause(Duration::from_millis(500));
        }
        status.finish();
        Ok(())
    }

    fn suggest(&self) {
        if self.is_json {
            return;
        }
        let Some(member) = self.members.first() else { return };
        let cookie = member.data.join(".cookie");
        let method = if self.wallet.is_some() { "getblockchaininfo" } else { "chain_head" };
        let method = format!("{{\"method\":\"{method}\"}}");
        print("try next:");
        print(format!("  chainwright show chain --rpc {} --cookie {}", member.rpc, cookie.display()));
        if self.wallet.is_some() {
            print(format!("  chainwright show block tip --rpc {} --cookie {}", member.rpc, cookie.display()));
            if let Ok(address) = self.receiver().map(|wallet| wallet.address(0)) {
                print(format!(
                    "  chainwright pay {address} 0.5 --rpc {} --wallet {}",
                    member.rpc,
                    self.data.join(DEV_WALLET).display()
                ));
            }
        }
        if self.file.evm.is_some() {
            let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_blockNumber"}"#;
            print(format!(
                "  curl -s -H 'Content-Type: application/json' --data '{body}' http://{}/",
                member.rpc
            ));
        } else {
            print(format!(
                "  curl -s --user \"$(cat {})\" --data '{method}' http://{}/",
                cookie.display(),
                member.rpc
            ));
        }
        talk("Ctrl-C stops the network; the same command goes on where it stopped");
    }

    fn receiver(&self) -> CliResult<LocalWallet> {
        LocalWallet::open_or_create(&self.data.join("receiver.json"), &self.file)
    }

    fn is_stopping(&self) -> bool {
        self.shutdown.is_requested() || self.members.iter().any(|member| member.shutdown.is_requested())
    }

    /// Waits, but not once somebody says stop.
    fn pause(&self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until && !self.is_stopping() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn stop(&mut self, runtime: &tokio::runtime::Runtime) -> CliResult<()> {
        if let Some(wallet) = &mut self.wallet {
            wallet.save_state();
        }
        let mut failure = None;
        for member in self.members.drain(..).rev() {
            discovery::withdraw(&member.data);
            if let Err(reason) = runtime.block_on(member.node.stop()) {
                let log = member.data.join("debug.log");
                failure
                    .get_or_insert_with(|| CliError::failed(reason).hint(format!("see {}", log.display())));
            }
        }
        if let Some(failure) = failure {
            return Err(failure);
        }
        talk("stopped");
        Ok(())
    }
}

fn in_use_hint(error: CliError) -> CliError {
    if error.has_hint() {
        error
    } else {
        error.hint("is this network running already? another one needs its own --datadir")
    }
}

/// The port if nobody has it, else any.
fn free_or_any(port: u16) -> SocketAddr {
    let wanted = SocketAddr::new(LOOPBACK, port);
    match TcpListener::bind(wanted) {
        Ok(_) => wanted,
        Err(_) => SocketAddr::new(LOOPBACK, 0),
    }
}

/// Starts a node once the attempt before it has let go of the data directory, which may take a moment.
fn once_unlocked<T>(
    start: impl Fn() -> CliResult<Result<T, StartError>>,
) -> CliResult<Result<T, StartError>> {
    const ATTEMPTS: u32 = 50;
    for _ in 0..ATTEMPTS {
        match start()? {
            Err(StartError::Store(OpenError::Locked { .. })) => {
                std::thread::sleep(Duration::from_millis(100));
            }
            other => return Ok(other),
        }
    }
    start()
}
