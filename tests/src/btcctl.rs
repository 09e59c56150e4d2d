//! `btcctl`, btcd's command-line client: a program of others that must be able to drive our node too.

use crate::{Rpc, peer};
use std::process::Command;

/// Runs one command against a server on regtest; `None` (said loudly) when btcctl is not installed.
///
/// # Errors
///
/// What it said on stderr, when it did not exit with 0.
pub fn btcctl(rpc: &Rpc, arguments: &[&str]) -> Option<Result<String, String>> {
    let program = peer("btcctl")?;
    let folder = tempfile::tempdir().expect("the system has a temporary folder");
    let settings = folder.path().join("btcctl.conf");
    std::fs::write(&settings, b"").expect("the folder is ours");
    let login = rpc.login().expect("the server has written its login");
    let (user, password) = login.split_once(':').expect("a login is user:password");
    let mut command = Command::new(program);
    command.args(["--regtest", "--notls"]).arg(format!("--configfile={}", settings.display()));
    command.arg(format!("--rpcserver=127.0.0.1:{}", rpc.port()));
    command.args([format!("--rpcuser={user}"), format!("--rpcpass={password}")]);
    let output = command.args(arguments).output().expect("an installed program starts");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    Some(if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) })
}
