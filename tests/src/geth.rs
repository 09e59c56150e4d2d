//! A real go-ethereum.
//!
//! What is worth knowing: `geth import` and `geth export` work on a data directory that nobody has open; `--dev` keeps a
//! genesis that was written with `geth init`, if its terminal total difficulty is zero; in the scheme `hash` with
//! `--gcmode archive` every block's state stays.

use crate::ethereum::text;
use crate::{Rpc, Running, free_port, peer, wait_until};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long it may take to start.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How long it may take to write everything and to end.
const STOP_LIMIT: Duration = Duration::from_mins(1);

/// An installed geth and a data directory.
#[derive(Debug, Clone)]
pub struct Geth {
    program: PathBuf,
    data: PathBuf,
}

/// A geth that runs and answers.
#[derive(Debug)]
pub struct RunningGeth {
    running: Running,
    rpc: Rpc,
}

impl Geth {
    /// One with a new data directory and the first block of a genesis file; `None` (said loudly) when geth is not installed.
    #[track_caller]
    pub fn init(data: &Path, genesis: &Path) -> Option<Self> {
        let geth = Self { program: peer("geth")?, data: data.to_path_buf() };
        geth.run(&["init", "--state.scheme", "hash"], &[&text(genesis)]);
        Some(geth)
    }

    /// Imports a file of blocks in RLP; every state is kept. Gives what it said.
    #[track_caller]
    pub fn import(&self, file: &Path) -> String {
        self.run(&["import", "--state.scheme", "hash", "--gcmode", "archive"], &[&text(file)])
    }

    /// Writes all blocks to a file.
    #[track_caller]
    pub fn export(&self, file: &Path) {
        self.run(&["export", "--state.scheme", "hash"], &[&text(file)]);
    }

    /// Starts it without peers, with all its methods on loopback.
    ///
    /// # Panics
    ///
    /// When it does not answer within a minute.
    #[track_caller]
    pub fn start(&self, flags: &[&str]) -> RunningGeth {
        let (port, engine) = (free_port(), free_port());
        let mut command = self.command();
        command.args(["--state.scheme", "hash", "--gcmode", "archive", "--syncmode", "full"]);
        command.args(["--nodiscover", "--maxpeers", "0", "--port", "0", "--nat", "none", "--ipcdisable"]);
        command.args(["--http", "--http.addr", "127.0.0.1", "--http.port", &port.to_string()]);
        command.args(["--http.api", "eth,net,web3,debug,txpool", "--authrpc.port", &engine.to_string()]);
        let running = Running::start("geth", command.args(flags), &self.data.with_extension("out"));
        let mut geth = RunningGeth { running, rpc: Rpc::open(port) };
        let (rpc, running) = (geth.rpc.clone(), &mut geth.running);
        wait_until("geth answers", START_LIMIT, || {
            let exited = running.exited();
            assert!(exited.is_none(), "geth ended at once: {exited:?}\n{}", running.log_tail());
            rpc.try_call("eth_chainId", json!([])).is_ok()
        });
        geth
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.arg("--datadir").arg(&self.data).args(["--cache", "128"]);
        command
    }

    #[track_caller]
    fn run(&self, flags: &[&str], rest: &[&str]) -> String {
        let (name, flags) = flags.split_first().expect("a command has a name");
        let mut command = Command::new(&self.program);
        command.arg(name).arg("--datadir").arg(&self.data).args(flags).args(rest);
        let output = command.output().expect("an installed program starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "geth {name} failed:\n{said}");
        said
    }
}

impl RunningGeth {
    /// Its JSON-RPC server.
    pub fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Ends it in good order: it keeps what it has in memory.
    ///
    /// # Panics
    ///
    /// When it has not ended after a minute.
    #[track_caller]
    pub fn stop(mut self) {
        // With SIGINT, as by Ctrl-C.
        self.running.signal("INT");
        self.running.wait(STOP_LIMIT).expect("geth ends when asked to");
    }
}
