//! Our own binary on a chain file with Ethereum's ledger: `chainwright node --chain FILE`.

use crate::{Rpc, Running, chainwright, free_port, wait_until};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long it may take to start.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How long it may take to end.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// A running node without peers.
#[derive(Debug)]
pub struct EthereumNode {
    running: Running,
    rpc: Rpc,
}

impl EthereumNode {
    /// Starts one on a chain file and a data directory, and waits until its RPC answers.
    ///
    /// # Panics
    ///
    /// When it does not within a minute.
    #[track_caller]
    pub fn start(chain: &Path, data: &Path, flags: &[&str]) -> Self {
        let port = free_port();
        let mut command = Command::new(chainwright());
        command.arg("node").args(["--no-listen", "--rpc-port", &port.to_string()]);
        command.arg("--chain").arg(chain).arg("--datadir").arg(data).args(flags);
        let running = Running::start("chainwright", &mut command, &data.with_extension("out"));
        let mut node = Self { running, rpc: Rpc::open(port) };
        let (rpc, running) = (node.rpc.clone(), &mut node.running);
        wait_until("our node answers", START_LIMIT, || {
            let exited = running.exited();
            assert!(exited.is_none(), "our node ended at once: {exited:?}\n{}", running.log_tail());
            rpc.try_call("eth_chainId", json!([])).is_ok()
        });
        node
    }

    /// Its JSON-RPC server.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// The process.
    pub fn process(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Ends it in good order.
    ///
    /// # Panics
    ///
    /// When it does not end well within a minute.
    #[track_caller]
    pub fn stop(mut self) {
        let status = self.running.terminate(STOP_LIMIT).expect("the node ends when asked to");
        assert!(status.success(), "the node ended with {status}\n{}", self.running.log_tail());
    }
}

/// Runs our binary to its end and gives what it said on standard output.
///
/// # Panics
///
/// When it fails.
#[track_caller]
pub fn command_line(arguments: &[&str]) -> String {
    let output = Command::new(chainwright()).args(arguments).output().expect("the binary starts");
    let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{arguments:?} failed:\n{}", said(&output.stderr));
    said(&output.stdout)
}

/// A folder as a path of text, for a command line.
pub(crate) fn text(path: &Path) -> String {
    PathBuf::from(path).display().to_string()
}
