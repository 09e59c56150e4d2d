//! `chainwright bitcoind`.

use serde_json::json;

use crate::run::{Running, check_refused, free_port, rpc, run, stderr, stdout};

#[test]
fn a_node_starts_from_its_configuration_file_and_stops_when_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (port, rpc_port) = (free_port(), free_port());
    let conf = format!("regtest=1\nserver=1\nprinttoconsole=0\n[regtest]\nport={port}\nrpcport={rpc_port}\n");
    std::fs::write(folder.path().join("bitcoin.conf"), conf).unwrap();
    let data = format!("-datadir={}", folder.path().display());
    let mut node = Running::start(folder.path(), "node", &["bitcoind", &data]);
    let log = folder.path().join("regtest/debug.log");
    node.wait_for("done loading", |_| {
        std::fs::read_to_string(&log).ok().filter(|log| log.contains("Done loading"))
    });
    let address = format!("127.0.0.1:{rpc_port}");
    let cookie = folder.path().join("regtest/.cookie");
    let payee = "bcrt1qs758ursh4q9z627kt3pp5yysm78ddny6txaqgw";
    let blocks = rpc(&address, &cookie, "generatetoaddress", json!([3, payee]));
    assert_eq!(rpc(&address, &cookie, "getbestblockhash", json!([])), blocks[2]);
    rpc(&address, &cookie, "stop", json!([]));
    assert_eq!(node.signal("CONT"), Some(0), "{}", node.complained());
    assert_eq!((node.said().as_str(), node.complained().as_str()), ("", ""));
    let log = std::fs::read_to_string(&log).unwrap();
    let best = format!("UpdateTip: new best={} height=3", blocks[2].as_str().unwrap());
    assert!(log.contains(&best) && log.contains("Shutdown: done"), "{log}");
    assert!(!cookie.exists());
}

#[test]
fn nonsense_is_refused_in_the_words_of_bitcoin_core() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("-datadir={}", folder.path().display());
    let refuse = |flags: &[&str], words: &str| {
        let arguments = [&["bitcoind", &data][..], flags].concat();
        check_refused(folder.path(), &arguments, 1, &[words]);
    };
    refuse(&["-nonsense"], "Error: Error parsing command line arguments: Invalid parameter -nonsense");
    refuse(&["stop"], "Error: Command line contains unexpected token 'stop'");
    refuse(&["-regtest", "-signet"], "Invalid combination of -regtest, -signet");
    refuse(&["-chain=moon"], "Unknown chain moon.");
    refuse(&["-regtest", "-txindex"], "-txindex is not supported");
    refuse(&["-regtest", "-prune=550"], "-prune is not supported");
    refuse(&["-regtest", "-daemon"], "-daemon is not supported");
    refuse(&["-regtest", "-port=high"], "Invalid value for -port");
    refuse(&["-regtest", "-conf=missing.conf"], "could not be opened");
    refuse(&["-regtest", "-minimumchainwork=xyz"], "Invalid minimum work");
    let missing = ["bitcoind", "-datadir=/nowhere/at/all"];
    check_refused(
        folder.path(),
        &missing,
        1,
        &["Specified data directory \"/nowhere/at/all\" does not exist."],
    );
    std::fs::write(folder.path().join("bitcoin.conf"), "server\n").unwrap();
    refuse(&["-regtest"], "Error reading configuration file: parse error on line 1: server");
}

#[test]
fn help_and_version_are_no_errors() {
    let folder = tempfile::tempdir().unwrap();
    for (flag, word) in [("-version", "Chainwright version"), ("-help", "-minimumchainwork")] {
        let output = run(folder.path(), &["bitcoind", flag]);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stdout(&output).contains(word));
    }
}

#[test]
fn two_nodes_do_not_share_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let data = format!("-datadir={}", folder.path().display());
    let ports = [format!("-port={}", free_port()), format!("-rpcport={}", free_port())];
    let flags = ["bitcoind", &data, "-regtest", "-printtoconsole=0", &ports[0], &ports[1]];
    let mut node = Running::start(folder.path(), "node", &flags);
    let log = folder.path().join("regtest/debug.log");
    node.wait_for("done loading", |_| {
        std::fs::read_to_string(&log).ok().filter(|log| log.contains("Done loading"))
    });
    let second = ["bitcoind", &data, "-regtest", "-printtoconsole=0", "-port=0", "-rpcport=0"];
    check_refused(folder.path(), &second, 1, &["Cannot obtain a lock on directory"]);
    assert_eq!(node.signal("TERM"), Some(0));
}
