//! Snapshots: a node that begins with a state goes on as the others do; what is not right is refused and leaves nothing.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use alloy_primitives::{Address, Bytes, TxKind, U256};
use chainwright_tests::{ChainNode, chainwright, wait_until};
use serde_json::{Value, json};

use crate::account::{ALICE, BOB, Signed, quick_chain};

const LIMIT: Duration = Duration::from_mins(1);
const MINER: [&str; 2] = ["--mine=0xc0ffee0000000000000000000000000000000000", "--block-time=50ms"];
/// Where the snapshot is taken, and how long the chain is at least.
const AT: u64 = 20;
const LONG: u64 = 30;

/// Runs the program to its end.
#[track_caller]
fn run(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(chainwright()).args(arguments).current_dir(folder).output().expect("our program runs")
}

#[track_caller]
fn run_well(folder: &Path, arguments: &[&str]) -> String {
    let output = run(folder, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// It must fail with these words and a hint, and must not panic.
#[track_caller]
fn check_refused(folder: &Path, arguments: &[&str], words: &str) {
    let output = run(folder, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{arguments:?} succeeded");
    assert!(said.contains(words) && !said.contains("panicked"), "{arguments:?}: no `{words}` in: {said}");
}

/// A chain with money, code and storage, in the folder `full`; and its snapshot at [`AT`], in the file `state`.
#[track_caller]
fn make_chain(place: &Path) -> ChainNode {
    let mut node = ChainNode::start(&quick_chain(place), &place.join("full"), &MINER);
    let notebook = ALICE.address.create(0);
    let mut all = vec![ALICE.deploy(0), ALICE.note(1, notebook, 5), BOB.note(0, notebook, 6)];
    let heir = |number: u64| TxKind::Call(Address::from_word(U256::from(number + 1000).into()));
    all.extend((1..200).map(|nonce| BOB.sign(nonce, heir(nonce), 3, Bytes::new())));
    for signed in &all {
        send(&node, signed);
    }
    wait_until("all is mined, and the chain is long", LIMIT, || {
        let nonce = node.call("eth_getTransactionCount", json!([BOB.address, "latest"]));
        nonce == "0xc8" && node.head().0 >= LONG
    });
    node.restart(&[]);
    node
}

#[track_caller]
fn send(node: &ChainNode, signed: &Signed) {
    assert_eq!(node.call("eth_sendRawTransaction", json!([signed.raw])), json!(signed.hash));
}

fn facts(node: &ChainNode) -> Vec<Value> {
    let notebook = ALICE.address.create(0);
    let slot = format!("0x{:0>64}", BOB.address.to_string().trim_start_matches("0x").to_lowercase());
    let proof = json!([notebook, [slot.clone()], "latest"]);
    vec![
        node.call("eth_getBlockByNumber", json!(["latest", true])),
        node.call("eth_getStorageAt", json!([notebook, slot, "latest"])),
        node.call("eth_getCode", json!([notebook, "latest"])),
        node.call("eth_getProof", proof),
        node.call("eth_getBalance", json!([BOB.address, "latest"])),
    ]
}

fn height(number: u64) -> Value {
    json!(format!("{number:#x}"))
}

/// What a node that begins at [`AT`] says of older blocks: the headers are known, and everything else is said to be missing.
#[track_caller]
fn check_old_blocks(node: &ChainNode) {
    let refused = |method: &str, params: Value, words: &str| {
        let error =
            node.rpc().try_call(method, params).expect_err("there is nothing to answer with").to_string();
        assert!(error.contains(words), "{method}: {error}");
    };
    refused("eth_getBlockByNumber", json!([height(AT - 1), false]), "4444: pruned history unavailable");
    refused("eth_getLogs", json!([{ "fromBlock": "0x1" }]), "pruned history unavailable");
    refused("eth_getBalance", json!([BOB.address, height(AT - 1)]), "not available");
    refused("eth_getBlockReceipts", json!([height(AT)]), "pruned history unavailable");
    assert!(node.call("eth_getBalance", json!([BOB.address, height(AT)])).is_string());
    assert!(node.call("eth_getBlockByNumber", json!(["earliest", false]))["hash"].is_string());
    if node.head().0 > AT {
        assert!(node.call("eth_getLogs", json!([{ "fromBlock": height(AT + 1) }])).is_array());
    }
    assert!(node.call("eth_gasPrice", json!([])).is_string());
}

#[test]
fn a_node_that_begins_with_a_snapshot_goes_on_as_the_others() {
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let mut full = make_chain(place.path());
    let expected = full.call("eth_getBlockByNumber", json!([height(AT), false]));
    full.process().terminate(LIMIT).expect("our node stops when asked");
    let state = place.path().join("state");
    let said = run_well(
        place.path(),
        &["snapshot", "export", "state", "--chain=quick.toml", "--datadir=full", "--at=20"],
    );
    assert!(said.contains(expected["stateRoot"].as_str().unwrap_or_default()), "{said}");
    run_well(place.path(), &["snapshot", "import", "state", "--chain=quick.toml", "--datadir=light"]);
    full.start_again(&[]);
    let connect = format!("--connect={}", full.address());
    let mut light = ChainNode::start(&quick_chain(place.path()), &place.path().join("light"), &[]);
    assert_eq!(light.head().0, AT);
    assert_eq!(light.call("eth_getBlockByNumber", json!(["latest", false])), expected);
    check_old_blocks(&light);
    light.restart(&[&connect]);
    wait_until("it has caught up", LIMIT, || light.head() == full.head());
    assert_eq!(facts(&light), facts(&full));
    check_old_blocks(&light);
    // It makes blocks the others take, and comes back from a kill.
    let mut mining = MINER.to_vec();
    mining.push(&connect);
    light.restart(&mining);
    let note = BOB.note(200, ALICE.address.create(0), 9);
    send(&light, &note);
    wait_until("its block is taken", LIMIT, || {
        !full.call("eth_getTransactionReceipt", json!([note.hash])).is_null()
    });
    light.process().kill();
    light.start_again(&[&connect]);
    wait_until("they agree", LIMIT, || light.head() == full.head());
    assert_eq!(facts(&light), facts(&full));
    check_refused(
        place.path(),
        &["snapshot", "import", "state", "--chain=quick.toml", "--datadir=light"],
        "holds a chain already",
    );
    drop((light, full));
    check_bad_files(place.path(), &state);
    check_full_disk(place.path(), &state);
}

/// The same snapshot with other rows and all checksums right: rows are the fifth kind of frame.
fn with_other_rows(whole: &[u8], change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let start = whole.iter().position(|byte| *byte == b'\n').expect("a first line") + 1;
    let (first, mut rest) = whole.split_at(start);
    let mut forged = first.to_vec();
    let mut is_done = false;
    while let Some((prefix, after)) = rest.split_at_checked(13) {
        let word =
            |at: usize| u32::from_le_bytes(prefix[at..at + 4].try_into().expect("four bytes")) as usize;
        let (packed, after) = after.split_at(word(5));
        rest = after;
        let mut bytes = zstd::bulk::decompress(packed, word(1)).expect("a sound file");
        if prefix[0] == 5 && !is_done {
            is_done = true;
            change(&mut bytes);
        }
        let packed = zstd::bulk::compress(&bytes, 3).expect("bytes can be packed");
        let mut prefix = prefix[..5].to_vec();
        prefix.extend_from_slice(&(packed.len() as u32).to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(&prefix), &packed);
        prefix.extend_from_slice(&checksum.to_le_bytes());
        forged.extend_from_slice(&prefix);
        forged.extend_from_slice(&packed);
    }
    assert!(is_done, "the snapshot has rows");
    forged
}

/// Truncated, flipped, foreign and forged files.
#[track_caller]
fn check_bad_files(place: &Path, state: &Path) {
    let whole = std::fs::read(state).expect("the snapshot is there");
    let check = |name: &str, bytes: &[u8], words: &str| {
        std::fs::write(place.join(name), bytes).expect("the folder is ours");
        check_refused(place, &["snapshot", "import", name, "--chain=quick.toml", "--datadir=bad"], words);
        let left: Vec<PathBuf> = std::fs::read_dir(place.join("bad"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        assert!(left.is_empty(), "{name}: {left:?}");
    };
    check("empty", b"", "no snapshot");
    check("text", b"chainwright snapshot 2\nand so on", "no snapshot");
    for part in 1..8 {
        check("short", &whole[..whole.len() * part / 8], "not complete");
    }
    for part in 1..16 {
        let mut flipped = whole.clone();
        flipped[whole.len() * part / 16] ^= 4;
        check("flipped", &flipped, "hint: fetch the file again");
    }
    // Rows are those of accounts first, then slots, then code: table 1, length 4, key 32, length 4, value.
    let last = |rows: &mut Vec<u8>| *rows.last_mut().expect("there are rows") ^= 1;
    let balance = |rows: &mut Vec<u8>| {
        let end = 41 + usize::from(rows[37]);
        rows[end - 1] ^= 1;
    };
    check("forged-code", &with_other_rows(&whole, last), "bad-code");
    check("forged-balance", &with_other_rows(&whole, balance), "bad-state-root");
    check("forged-address", &with_other_rows(&whole, |rows| rows[41] ^= 1), "bad-account");
    check("long", &[&whole[..], b"more"].concat(), "something follows its end");
    let import = ["snapshot", "import", "state", "--datadir=bad", "--chain=ethereum-dev"];
    check_refused(place, &[&import[..4], &["--chain=names-pow"]].concat(), "no root of the state");
    let text = run_well(place, &["spec", "print", "pow-evm"])
        .replace("half_life_seconds = 3600", "half_life_seconds = 3601");
    std::fs::write(place.join("other.toml"), text).expect("the folder is ours");
    check_refused(
        place,
        &[&import[..4], &["--chain=other.toml"]].concat(),
        "a snapshot of another chain: its chain is",
    );
    let export = ["snapshot", "export", "new", "--chain=quick.toml", "--datadir=full"];
    check_refused(place, &export, "no block is final");
    check_refused(place, &[&export[..], &["--at=99999"]].concat(), "no such block");
    check_refused(place, &[&export[..], &["--at=nonsense"]].concat(), "neither a height nor a block hash");
    check_refused(
        place,
        &["snapshot", "export", "state", "--chain=quick.toml", "--datadir=full", "--at=5"],
        "does not exist",
    );
}

/// Where a small file system can be mounted: what does not fit is said so, and leaves nothing.
#[track_caller]
fn check_full_disk(place: &Path, state: &Path) {
    let disk = place.join("disk");
    std::fs::create_dir(&disk).expect("the folder is ours");
    let mount = |arguments: &[&str]| {
        Command::new("mount").args(arguments).arg(&disk).output().is_ok_and(|output| output.status.success())
    };
    if !mount(&["-t", "tmpfs", "-o", "size=24k", "none"]) {
        eprintln!("SKIPPED: no small file system can be mounted here (it takes root)");
        return;
    }
    let state = state.display().to_string();
    let data = format!("--datadir={}", disk.join("data").display());
    let output = run(place, &["snapshot", "import", &state, "--chain=quick.toml", &data]);
    let left = std::fs::read_dir(disk.join("data")).map_or(0, Iterator::count);
    // If this fails the folder cannot be removed either, and the system says so.
    let _ = Command::new("umount").arg("--lazy").arg(&disk).output();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("No space left on device"), "{said}");
    assert!(!said.contains("panicked") && left == 0, "{left} left: {said}");
}
