//! Bytes of the rows' own files that have changed on the disk: a wrong answer is worse than none.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::run::{Running, free_port, rpc, try_rpc};

/// Blocks of the chain: each leaves a coin.
const HEIGHT: u32 = 400;
/// A window this small is written out every few dozen blocks.
const CACHE_MIB: &str = "0.02";
const PAYEE: &str = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080";

fn start(folder: &Path, data: &str) -> (Running, String, PathBuf) {
    let port = free_port().to_string();
    let flags = ["--chain", "bitcoin-regtest", "--datadir", data, "--no-listen", "--connect", "127.0.0.1:1"];
    let more = ["--rpc-port", &port, "--cache-mib", CACHE_MIB];
    let node = Running::start(folder, data, &[&["--json", "node"], &flags[..], &more[..]].concat());
    (node, format!("127.0.0.1:{port}"), folder.join(data).join(".cookie"))
}

/// Whether the node answers, or has ended before it could.
fn comes_up(node: &mut Running) -> bool {
    while !node.said().contains("\"rpc\"") {
        if node.has_ended() {
            return false;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    true
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Files of the index and of the values, with something in them.
fn row_files(chain: &Path) -> Vec<(String, usize)> {
    let entries = std::fs::read_dir(chain).unwrap().flatten();
    let named = entries
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.metadata().unwrap().len() as usize));
    let is_of_rows = |name: &str| name.starts_with("index-") || name.starts_with("values-");
    let mut files: Vec<_> = named.filter(|(name, length)| is_of_rows(name) && *length > 0).collect();
    files.sort();
    files
}

/// What becomes of a node whose file has a flipped byte: it refuses to start, or says that something failed, or is right.
#[track_caller]
fn check_flipped(folder: &Path, (file, offset): (&str, usize), sound: &Value) -> &'static str {
    let _ = std::fs::remove_dir_all(folder.join("copy"));
    copy(&folder.join("sound"), &folder.join("copy"));
    let path = folder.join("copy/chain").join(file);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[offset] ^= 0x04;
    std::fs::write(&path, bytes).unwrap();
    let (mut node, address, cookie) = start(folder, "copy");
    let name = format!("byte {offset} of {file}");
    if !comes_up(&mut node) {
        let said = node.complained();
        assert!(said.contains("hint") && !said.contains("panicked"), "{name}: {said}");
        return "refused";
    }
    let fate = match try_rpc(&address, &cookie, "gettxoutsetinfo", json!(["muhash"])) {
        Ok(info) => {
            assert_eq!(&info["muhash"], &sound["muhash"], "{name}: the coins are wrong");
            assert_eq!(&info["txouts"], &sound["txouts"], "{name}: coins are missing");
            "sound"
        }
        // A failure of the disk stops the node, perhaps before it can say so.
        Err(error) => {
            assert!(!error.contains("\"result\":{"), "{name}: {error}");
            "reported"
        }
    };
    if !node.has_ended() {
        node.signal("TERM");
    }
    assert!(!node.complained().contains("panicked"), "{name}: {}", node.complained());
    fate
}

#[test]
fn a_flipped_byte_in_the_rows_never_makes_a_wrong_answer() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut node, address, cookie) = start(folder, "sound");
    assert!(comes_up(&mut node), "{}", node.complained());
    rpc(&address, &cookie, "generatetoaddress", json!([HEIGHT, PAYEE]));
    let sound = rpc(&address, &cookie, "gettxoutsetinfo", json!(["muhash"]));
    assert_eq!(sound["txouts"], HEIGHT);
    assert_eq!(node.signal("TERM"), Some(0), "{}", node.complained());
    let files = row_files(&folder.join("sound/chain"));
    for kind in ["index-", "values-"] {
        assert!(files.iter().any(|(name, _)| name.starts_with(kind)), "nothing was flushed: {files:?}");
    }
    let mut fates = Vec::new();
    for (file, length) in &files {
        for offset in (0..12).map(|part| part * (length - 1) / 11) {
            fates.push(check_flipped(folder, (file, offset), &sound));
        }
    }
    eprintln!("{files:?}: {fates:?}");
    let damaged = fates.iter().filter(|fate| **fate != "sound").count();
    assert!(damaged > 0, "flips are noticed: {fates:?}");
}
