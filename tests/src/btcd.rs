//! A real btcd on regtest.
//!
//! btcd's own ways: its RPC speaks TLS unless told not to; it mines with `generate` for the address given by
//! `--miningaddr` and has no `generatetoaddress`; it relays nothing while its newest block is older than a day;
//! and it deletes a regtest chain whenever it starts, so there is no restarting it: stop it and start another.

use crate::{Rpc, Running, free_port, peer, wait_until};
use serde_json::json;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

const USER: &str = "tests";
const PASSWORD: &str = "loopback";
/// Pay to the hash of twenty zero bytes on regtest: nobody can spend it.
const UNSPENDABLE: &str = "mfWxJ45yp2SFn7UciZyNpvDKrzbhyfKrY8";
/// How long it may take to start.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A running btcd with a data directory of its own.
#[derive(Debug)]
pub struct Btcd {
    // Declared before the folder: the process ends before its files vanish.
    running: Running,
    rpc: Rpc,
    address: SocketAddr,
    _folder: TempDir,
}

impl Btcd {
    /// Starts one that mines to nobody, or `None` (said loudly) when btcd is not installed.
    #[track_caller]
    pub fn start() -> Option<Self> {
        Self::start_with(UNSPENDABLE, &[])
    }

    /// Starts one that mines to `address`, with further flags such as `--connect=127.0.0.1:18444` or `--txindex`.
    ///
    /// # Panics
    ///
    /// When it does not answer within a minute.
    #[track_caller]
    pub fn start_with(address: &str, flags: &[&str]) -> Option<Self> {
        let program = peer("btcd")?;
        let folder = tempfile::tempdir().expect("the system has a temporary folder");
        let (port, rpc_port) = (free_port(), free_port());
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("btcd.conf"), b"").expect("the folder is ours");
        let mut arguments: Vec<String> =
            ["--regtest", "--notls", "--nodnsseed", "--noonion", "--nostalldetect"]
                .map(str::to_owned)
                .to_vec();
        arguments.extend([
            format!("--configfile={}", path("btcd.conf")),
            format!("--datadir={}", path("data")),
            format!("--logdir={}", path("logs")),
            format!("--rpccert={}", path("rpc.cert")),
            format!("--rpckey={}", path("rpc.key")),
            format!("--listen=127.0.0.1:{port}"),
            format!("--rpclisten=127.0.0.1:{rpc_port}"),
            format!("--rpcuser={USER}"),
            format!("--rpcpass={PASSWORD}"),
            format!("--miningaddr={address}"),
        ]);
        arguments.extend(flags.iter().map(|flag| (*flag).to_owned()));
        let log = folder.path().join("btcd.out");
        let running = Running::start("btcd", Command::new(&program).args(&arguments), &log);
        let rpc = Rpc::with_password(rpc_port, USER, PASSWORD);
        let address = ([127, 0, 0, 1], port).into();
        let mut btcd = Self { running, rpc, address, _folder: folder };
        btcd.wait_ready();
        Some(btcd)
    }

    /// Its JSON-RPC server.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Where other nodes reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Mines blocks now and gives their ids, oldest first.
    #[track_caller]
    pub fn generate(&self, count: u32) -> Vec<String> {
        let mined = self.rpc.call("generate", json!([count]));
        let ids = mined.as_array().expect("generate gives a list");
        ids.iter().map(|id| id.as_str().expect("a block id is text").to_owned()).collect()
    }

    /// Height of its chain.
    #[track_caller]
    pub fn height(&self) -> u64 {
        self.rpc.call("getblockcount", json!([])).as_u64().expect("a height is a number")
    }

    /// Id of its newest block.
    #[track_caller]
    pub fn best(&self) -> String {
        self.rpc.call("getbestblockhash", json!([])).as_str().expect("a block id is text").to_owned()
    }

    /// Asks it to connect to a node and to keep trying.
    #[track_caller]
    pub fn connect(&self, address: SocketAddr) {
        self.rpc.call("addnode", json!([address.to_string(), "add"]));
    }

    #[track_caller]
    fn wait_ready(&mut self) {
        let rpc = self.rpc.clone();
        let running = &mut self.running;
        wait_until("btcd answers", START_LIMIT, || {
            let exited = running.exited();
            assert!(exited.is_none(), "btcd ended at once: {exited:?}\n{}", running.log_tail());
            rpc.try_call("getblockcount", json!([])).is_ok()
        });
    }
}
