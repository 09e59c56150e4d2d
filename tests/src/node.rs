//! Our own binary, run as `chainwright bitcoind` on regtest.

use crate::{Rpc, Running, chainwright, free_port, wait_for};
use serde_json::json;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use tempfile::TempDir;

/// How long it may take to start and to stop.
const START_LIMIT: Duration = Duration::from_mins(1);

/// What a node is started with.
#[derive(Debug, Clone, Default)]
pub struct NodeOptions {
    /// Data directory to use and to keep; a temporary one when `None`.
    pub folder: Option<PathBuf>,
    /// Further flags, such as `-connect=127.0.0.1:18444`.
    pub flags: Vec<String>,
}

/// A running node with its data directory.
#[derive(Debug)]
pub struct Node {
    // Declared before the folder: the process ends before its files vanish.
    running: Running,
    rpc: Rpc,
    address: SocketAddr,
    arguments: Vec<String>,
    folder: PathBuf,
    _temporary: Option<TempDir>,
}

impl Node {
    /// Starts one and waits until its RPC answers.
    ///
    /// # Panics
    ///
    /// When it does not within a minute; the message ends with its last log lines.
    #[track_caller]
    pub fn start(options: NodeOptions) -> Self {
        Self::try_start(options).unwrap_or_else(|said| panic!("our node ended at once:\n{said}"))
    }

    /// Starts one and waits until its RPC answers.
    ///
    /// # Errors
    ///
    /// Its exit status and what it said, when it ends before.
    ///
    /// # Panics
    ///
    /// When it does neither within a minute.
    #[track_caller]
    pub fn try_start(options: NodeOptions) -> Result<Self, String> {
        let temporary =
            options.folder.is_none().then(|| tempfile::tempdir().expect("there is a temporary folder"));
        // One level below, so that the log, which lies beside the data, vanishes with it.
        let kept = options.folder.or_else(|| Some(temporary.as_ref()?.path().join("data")));
        let folder = kept.expect("one of the two is set");
        std::fs::create_dir_all(&folder).expect("the folder is ours");
        let (port, rpc_port) = (free_port(), free_port());
        let mut arguments = vec![
            "bitcoind".to_owned(),
            "-regtest".to_owned(),
            format!("-datadir={}", folder.display()),
            format!("-port={port}"),
            format!("-rpcport={rpc_port}"),
            "-bind=127.0.0.1".to_owned(),
        ];
        arguments.extend(options.flags);
        let rpc = Rpc::with_cookie(rpc_port, folder.join("regtest/.cookie"));
        let running = spawn(&arguments, &folder);
        let address = ([127, 0, 0, 1], port).into();
        let mut node = Self { running, rpc, address, arguments, folder, _temporary: temporary };
        match node.wait_ready_or_ended() {
            None => Ok(node),
            Some(ended) => Err(format!("{ended}\n{}", node.running.log())),
        }
    }

    /// Its JSON-RPC server.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Where other nodes reach it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its data directory.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The process's number.
    pub fn id(&self) -> u32 {
        self.running.id()
    }

    /// The process: to kill it, or to read its exit status.
    pub fn process(&mut self) -> &mut Running {
        &mut self.running
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

    /// Mines blocks now, to an address of regtest, and gives their ids, oldest first.
    #[track_caller]
    pub fn generate(&self, count: u32, address: &str) -> Vec<String> {
        let mined = self.rpc.call("generatetoaddress", json!([count, address]));
        let ids = mined.as_array().expect("generatetoaddress gives a list");
        ids.iter().map(|id| id.as_str().expect("a block id is text").to_owned()).collect()
    }

    /// Connects to a node once.
    #[track_caller]
    pub fn connect(&self, address: SocketAddr) {
        self.rpc.call("addnode", json!([address.to_string(), "onetry"]));
    }

    /// Starts it again after it was killed or has ended, on the same data and ports.
    #[track_caller]
    pub fn start_again(&mut self) {
        self.spawn_again();
        self.wait_ready();
    }

    /// As [`Node::start_again`], without waiting for its RPC.
    #[track_caller]
    pub fn spawn_again(&mut self) {
        self.running.kill();
        self.running = spawn(&self.arguments, &self.folder);
    }

    /// Waits until its RPC answers.
    ///
    /// # Panics
    ///
    /// When it ends, or does not answer within a minute.
    #[track_caller]
    pub fn wait_ready(&mut self) {
        if let Some(ended) = self.wait_ready_or_ended() {
            panic!("our node ended at once: {ended}\n{}", self.running.log_tail());
        }
    }

    #[track_caller]
    fn wait_ready_or_ended(&mut self) -> Option<ExitStatus> {
        let rpc = self.rpc.clone();
        let running = &mut self.running;
        wait_for("our node answers", START_LIMIT, || match running.exited() {
            Some(ended) => Some(Some(ended)),
            None => rpc.try_call("getblockcount", json!([])).is_ok().then_some(None),
        })
    }
}

#[track_caller]
fn spawn(arguments: &[String], folder: &Path) -> Running {
    // Beside the data, because the data directory belongs to the node.
    Running::start("chainwright", Command::new(chainwright()).args(arguments), &folder.with_extension("out"))
}
