//! Our own binary, run as `chainwright node` on any chain.

use crate::{Rpc, Running, chainwright, free_port, wait_for};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long it may take to start, and to stop.
const LIMIT: Duration = Duration::from_mins(1);

/// A running node of a chain. Its data directory stays when it is dropped.
#[derive(Debug)]
pub struct ChainNode {
    running: Running,
    rpc: Rpc,
    address: SocketAddr,
    /// Without the flags that may change from start to start.
    arguments: Vec<String>,
    folder: PathBuf,
}

impl ChainNode {
    /// Starts one on ports of its own and waits until its RPC answers. What it says goes to a file beside `folder`.
    ///
    /// # Panics
    ///
    /// When it does not answer within a minute.
    #[track_caller]
    pub fn start(chain: &str, folder: &Path, flags: &[&str]) -> Self {
        let (port, rpc_port) = (free_port(), free_port());
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let arguments = [
            "node".to_owned(),
            format!("--chain={chain}"),
            format!("--datadir={}", folder.display()),
            format!("--listen={address}"),
            format!("--rpc-port={rpc_port}"),
        ];
        let rpc = Rpc::with_cookie(rpc_port, folder.join(".cookie")).in_version_two();
        let (arguments, folder) = (arguments.to_vec(), folder.to_path_buf());
        let running = spawn(&arguments, flags, &folder);
        let mut node = Self { running, rpc, address, arguments, folder };
        node.wait_ready();
        node
    }

    /// Its JSON-RPC server, asked in version 2.0.
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

    /// The process: to kill it, or to read what it said.
    pub fn process(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Calls a method that must succeed.
    #[track_caller]
    pub fn call(&self, method: &str, params: Value) -> Value {
        self.rpc.call(method, params)
    }

    /// Height and id of its newest block, as the dialect of every chain tells it.
    #[track_caller]
    pub fn head(&self) -> (u64, String) {
        let head = self.call("chain_head", json!([]))["head"].take();
        let id = head["id"].as_str().expect("a block id is text").to_owned();
        (head["height"].as_u64().expect("a height is a number"), id)
    }

    /// Stops it in order, and starts it on the same data and ports with other flags.
    #[track_caller]
    pub fn restart(&mut self, flags: &[&str]) {
        let ended = self.running.terminate(LIMIT);
        assert!(ended.is_some_and(|ended| ended.success()), "our node stops when asked: {ended:?}");
        self.start_again(flags);
    }

    /// Starts it again after it was killed or has ended.
    #[track_caller]
    pub fn start_again(&mut self, flags: &[&str]) {
        self.running.kill();
        self.running = spawn(&self.arguments, flags, &self.folder);
        self.wait_ready();
    }

    #[track_caller]
    fn wait_ready(&mut self) {
        let rpc = self.rpc.clone();
        let running = &mut self.running;
        let ended = wait_for("our node answers", LIMIT, || match running.exited() {
            Some(ended) => Some(Some(ended)),
            None => rpc.try_call("chain_head", json!([])).is_ok().then_some(None),
        });
        if let Some(ended) = ended {
            panic!("our node ended at once: {ended}\n{}", self.running.log_tail());
        }
    }
}

#[track_caller]
fn spawn(arguments: &[String], flags: &[&str], folder: &Path) -> Running {
    std::fs::create_dir_all(folder.parent().expect("a data directory lies in a folder")).expect("ours");
    let mut command = Command::new(chainwright());
    // Beside the data, because the data directory belongs to the node.
    Running::start("chainwright", command.args(arguments).args(flags), &folder.with_extension("out"))
}
