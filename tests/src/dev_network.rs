//! Our own binary, run as `chainwright dev` on an Ethereum chain.

use crate::{Rpc, Running, chainwright, free_port, wait_until};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// How long it may take to start.
const START_LIMIT: Duration = Duration::from_mins(1);

/// A running development network with its data directory; it needs no login on loopback.
#[derive(Debug)]
pub struct DevNetwork {
    // Declared before the folder: the process ends before its files vanish.
    _running: Running,
    port: u16,
    _folder: TempDir,
}

impl DevNetwork {
    /// Starts one and waits until its first node answers.
    ///
    /// # Panics
    ///
    /// When it does not within a minute.
    #[track_caller]
    pub fn start(chain: &str, flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        let port = free_port();
        let mut command = Command::new(chainwright());
        command.args(["dev", "--chain", chain, "--rpc-port", &port.to_string()]).args(flags);
        command.arg("--datadir").arg(folder.path().join("data"));
        let running = Running::start("chainwright dev", &mut command, &folder.path().join("out"));
        let rpc = Rpc::with_cookie(port, folder.path().join("data/node-1/.cookie"));
        wait_until("the network answers", START_LIMIT, || {
            rpc.get("/health/live").is_ok_and(|(status, _)| status == 200)
        });
        Self { _running: running, port, _folder: folder }
    }

    /// Where its first node answers over HTTP; WebSockets are on the same port.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}
