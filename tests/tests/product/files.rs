//! Damaged, foreign and full data directories: a clear word or a repair, never a panic, nothing lost.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use chainwright_tests::{Node, NodeOptions, Running, chainwright};
use serde_json::json;

use crate::party::{Party, muhash};
use crate::payments::{Coin, address, join};

/// Blocks of the chain whose files are damaged.
const HEIGHT: u32 = 120;
/// How long a node may take to end.
const END_LIMIT: Duration = Duration::from_mins(1);

/// What a sound data directory holds.
struct Sound {
    folder: PathBuf,
    blocks: Vec<String>,
    muhash: String,
}

#[track_caller]
fn start(folder: &Path) -> Result<Node, String> {
    let folder = Some(folder.to_path_buf());
    Node::try_start(NodeOptions { folder, flags: vec!["-listen=0".to_owned()] })
}

#[track_caller]
fn make_sound(folder: PathBuf) -> Sound {
    let mut node = start(&folder).expect("an empty folder is fine");
    let blocks = node.generate(HEIGHT, &address());
    let party = Party::Ours(&node);
    party.send(&join(&[Coin::mined(&party, &blocks[0])]).0);
    let muhash = muhash(&node, &blocks[blocks.len() - 1]);
    let ended = node.process().terminate(END_LIMIT).expect("our node stops when asked");
    assert!(ended.success(), "{ended}");
    Sound { folder, blocks, muhash }
}

/// Flips a byte of one file in a copy of a sound directory and starts a node on it. Gives what became of it.
#[track_caller]
fn check_flipped(sound: &Sound, file: &Path, offset: usize) -> &'static str {
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let copy = place.path().join("data");
    copy_folder(&sound.folder, &copy);
    let name = format!("byte {offset} of {}", file.display());
    let mut bytes = std::fs::read(copy.join(file)).expect("the copy has the file");
    bytes[offset] ^= 0x10;
    std::fs::write(copy.join(file), bytes).expect("the copy is ours");
    let mut node = match start(&copy) {
        Ok(node) => node,
        Err(said) => {
            assert!(!said.contains("panicked"), "{name}: {said}");
            assert!(said.contains("hint:"), "{name}: no hint: {said}");
            return "refused";
        }
    };
    let best = &sound.blocks[sound.blocks.len() - 1];
    assert_eq!(&node.best(), best, "{name}: blocks are lost");
    assert_eq!(muhash(&node, best), sound.muhash, "{name}: coins are wrong");
    let mut unreadable = 0;
    for id in &sound.blocks {
        match node.rpc().try_call("getblock", json!([id, 1])) {
            Ok(block) => assert_eq!(block["hash"], json!(id), "{name}"),
            Err(error) => {
                assert!(error.to_string().contains("rpc error"), "{name}: {error}");
                eprintln!("{name}: block {id}: {error}");
                unreadable += 1;
            }
        }
    }
    let is_pooled = node.rpc().call("getrawmempool", json!([])).as_array().is_some_and(|ids| !ids.is_empty());
    let ended = node.process().terminate(END_LIMIT);
    let log = node.process().log();
    assert!(ended.is_some() && !log.contains("panicked"), "{name}: {log}");
    match (unreadable, is_pooled) {
        (0, true) => "sound",
        (0, false) => "without its pool",
        (1, _) => "without one block's body",
        _ => panic!("{name}: {unreadable} blocks cannot be read"),
    }
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("the copy is ours");
    for entry in std::fs::read_dir(from).expect("the folder exists").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("the copy is ours");
        }
    }
}

/// Every file below, but for the log, which nobody reads back.
fn files(root: &Path, below: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(root.join(below)).expect("the folder exists").flatten() {
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            found.extend(files(root, &path));
        } else if entry.file_name() != "debug.log" {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The program must refuse, soon, with these words and no panic.
#[track_caller]
fn check_refused(folder: &Path, arguments: &[&str], words: &str) {
    let mut command = Command::new(chainwright());
    let log = folder.join("refused.out");
    // What the one before said is not this one's.
    let _ = std::fs::remove_file(&log);
    let mut running = Running::start("chainwright", command.args(arguments).current_dir(folder), &log);
    let ended = running.wait(END_LIMIT).unwrap_or_else(|| panic!("{arguments:?} were taken"));
    let said = running.log();
    assert!(!ended.success(), "{arguments:?} were taken");
    assert!(said.contains(words) && !said.contains("panicked"), "{arguments:?}: {said}");
}

#[test]
fn a_flipped_byte_in_any_file_is_refused_or_survived() {
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let sound = make_sound(place.path().join("data"));
    let files = files(&sound.folder, Path::new(""));
    assert!(files.len() >= 7, "{files:?}");
    for file in files {
        let length = std::fs::metadata(sound.folder.join(&file)).map_or(0, |data| data.len() as usize);
        let offsets = [0, length / 3, length / 2, length.saturating_sub(1)];
        let fates: Vec<_> = offsets
            .into_iter()
            .filter(|offset| *offset < length)
            .map(|offset| check_flipped(&sound, &file, offset))
            .collect();
        eprintln!("{}: {}", file.display(), fates.join(", "));
    }
}

#[test]
fn a_directory_serves_one_chain_and_one_process() {
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let folder = place.path().join("data");
    let node = start(&folder).expect("an empty folder is fine");
    let data = format!("-datadir={}", folder.display());
    let second = ["bitcoind", "-regtest", &data, "-listen=0", "-rpcport=0"];
    check_refused(place.path(), &second, "Cannot obtain a lock on directory");
    drop(node);
    let chain = folder.join("regtest");
    let chain = chain.display().to_string();
    let other = ["node", "--chain", "bitcoin-signet", "--no-listen", "--rpc-port", "0", "--datadir", &chain];
    check_refused(place.path(), &other, "belongs to");
    let other = ["node", "--chain", "names-pow", "--no-listen", "--rpc-port", "0", "--datadir", &chain];
    check_refused(place.path(), &other, "belongs to");
    start(&folder).expect("its own chain is still there");
}

#[test]
fn nonsense_on_the_command_line_and_in_chain_files_is_refused() {
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let file = |name: &str, bytes: &[u8]| std::fs::write(place.path().join(name), bytes).expect("our folder");
    file("noise.toml", &[0xff, 0, 0x9f, 0x92, 0x96]);
    file("empty.toml", b"");
    file("wrong.toml", b"[chain]\nname = 7\n");
    let check = |arguments: &[&str], words| check_refused(place.path(), arguments, words);
    check(&["node", "--chain", "noise.toml"], "noise.toml");
    check(&["node", "--chain", "empty.toml"], "empty.toml");
    check(&["node", "--chain", "wrong.toml"], "wrong.toml");
    check(&["node", "--chain", "no-such-chain"], "hint:");
    check(&["bitcoind", "-datadir=.", "-regtest", "-bind=nowhere"], "nowhere");
    check(&["bitcoind", "-datadir=.", "-regtest", "-rpcport=70000"], "rpcport");
    check(&["bitcoind", "-datadir=.", "-regtest", "-minimumchainwork=zz"], "Invalid minimum work");
    check(&["bitcoind", "-datadir=.", "-chain=\u{1f4a5}"], "Unknown chain");
}

/// A small file system, unmounted when dropped.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let place = tempfile::tempdir().expect("the system has a temporary folder");
        Self::run(&["-t", "tmpfs", "-o", "size=2m", "none"], place.path()).then(|| Self(place))
    }

    fn enlarge(&self) {
        assert!(Self::run(&["-o", "remount,size=64m"], self.0.path()), "what was mounted can be remounted");
    }

    fn run(arguments: &[&str], place: &Path) -> bool {
        let output = Command::new("mount").args(arguments).arg(place).output();
        output.is_ok_and(|output| output.status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // If this fails the folder cannot be removed either, and the system says so.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).output();
    }
}

#[test]
fn a_full_disk_loses_nothing_that_was_confirmed() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("SKIPPED: no small file system can be mounted here (it takes root)");
        return;
    };
    let folder = disk.0.path().join("data");
    let mut node = start(&folder).expect("there is space for an empty chain");
    let mut confirmed = String::new();
    let mut refused = None;
    for _ in 0..1_000 {
        match node.rpc().try_call("generatetoaddress", json!([20, address()])) {
            Ok(ids) => confirmed = ids[19].as_str().expect("a block id is text").to_owned(),
            Err(error) => {
                refused = Some(error.to_string());
                break;
            }
        }
    }
    let refused = refused.expect("the disk is full at last");
    let ended = node.process().terminate(END_LIMIT).expect("our node stops when asked");
    let log = node.process().log();
    let last: Vec<&str> = log.lines().rev().take(3).collect();
    eprintln!("refused with `{refused}`, ended with {ended}, last said {last:#?}");
    assert!(log.contains("No space left on device") && !log.contains("panicked"), "{last:#?}");
    disk.enlarge();
    node.start_again();
    let header = node.rpc().call("getblockheader", json!([confirmed]));
    assert!(header["confirmations"].as_i64() > Some(0), "{header}");
    let best = node.generate(5, &address()).remove(4);
    muhash(&node, &best);
}

#[test]
fn a_pid_file_that_cannot_be_written_stops_the_node_in_order() {
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let folder = place.path().join("data");
    std::fs::create_dir_all(folder.join("regtest/pid")).expect("our folder");
    let data = format!("-datadir={}", folder.display());
    let arguments = ["bitcoind", "-regtest", &data, "-listen=0", "-rpcport=0", "-pid=pid"];
    check_refused(place.path(), &arguments, "Unable to create the PID file");
    let log = std::fs::read_to_string(folder.join("regtest/debug.log")).expect("the node has a log");
    assert!(log.contains("Shutdown: In progress"), "{log}");
}

#[test]
fn nobody_else_looks_into_a_new_data_directory() {
    use std::os::unix::fs::PermissionsExt as _;
    let place = tempfile::tempdir().expect("the system has a temporary folder");
    let node = start(&place.path().join("data")).expect("an empty folder is fine");
    let mode = |path: &Path| std::fs::metadata(path).map_or(0, |data| data.permissions().mode() & 0o777);
    assert_eq!(mode(&node.folder().join("regtest")), 0o700);
}
