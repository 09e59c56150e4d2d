//! Peers that send rubbish, too much or too little: each is dropped or ignored, and the node serves on.

use std::time::{Duration, Instant};

use chainwright_tests::{Node, NodeOptions};
use chainwright_utxo::block::BlockHeader;
use chainwright_utxo::hash::sha256d;
use serde_json::json;

use crate::payments::address;
use crate::wire::{MAIN, Puppet, REGTEST, header, headers_payload, message};

/// A peer that has not said what it must is dropped after a minute (as in Bitcoin Core).
const PATIENCE: Duration = Duration::from_secs(75);
/// Memory that no hostile peer may make a node take, in KiB.
const MEMORY_MAX: u64 = 64 << 10;

/// What becomes of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Dropped,
    Ignored,
}

/// A node hears `bytes` from a peer that has shaken hands; it must do with it what is said, and serve others.
#[track_caller]
fn check_frame(node: &Node, name: &str, bytes: &[u8], fate: Fate) {
    let before = memory(node);
    let mut puppet = Puppet::greeted(node.address(), REGTEST, 0);
    // The node may leave while it is being told.
    let sent = puppet.send_bytes(bytes);
    match fate {
        Fate::Dropped => assert!(puppet.is_left(Duration::from_secs(20)), "{name}: the peer is still there"),
        Fate::Ignored => {
            sent.unwrap_or_else(|error| panic!("{name}: {error}"));
            check_alive(&mut puppet, name);
        }
    }
    check_alive(&mut Puppet::greeted(node.address(), REGTEST, 0), name);
    assert_eq!(node.height(), 3, "{name}");
    let grown = memory(node).saturating_sub(before);
    assert!(grown < MEMORY_MAX, "{name}: the node grew by {grown} KiB");
}

/// A ping is answered.
#[track_caller]
fn check_alive(puppet: &mut Puppet, name: &str) {
    puppet.send("ping", &7_u64.to_le_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(puppet.expect("pong"), 7_u64.to_le_bytes(), "{name}");
}

/// Memory that a node's process holds, in KiB; 0 where the system does not tell.
fn memory(node: &Node) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", node.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// Bytes without any order, the same in every run.
fn noise(length: usize) -> Vec<u8> {
    let chunk = |index: usize| sha256d(&index.to_le_bytes());
    (0..length.div_ceil(32)).flat_map(chunk).take(length).collect()
}

/// A chain of headers on regtest's genesis block, each with its work; 80 bytes each.
fn cheap_headers(count: u32) -> Vec<[u8; 80]> {
    let genesis = "06226e46111a0b59caaf126043eb5bbf28c34f3a5e332a1fc7b2b73cf188910f";
    let mut previous: [u8; 32] = crate::payments::from_hex(genesis).try_into().expect("32 bytes");
    let mut headers = Vec::new();
    for index in 0..count {
        let mut header = [0; 80];
        header[..4].copy_from_slice(&0x2000_0000_u32.to_le_bytes());
        header[4..36].copy_from_slice(&previous);
        header[68..72].copy_from_slice(&(1_700_000_000 + index).to_le_bytes());
        header[72..76].copy_from_slice(&0x207f_ffff_u32.to_le_bytes());
        // Half of all hashes have work enough.
        while sha256d(&header)[31] >= 0x7f {
            let nonce = u32::from_le_bytes(header[76..].try_into().expect("four bytes"));
            header[76..].copy_from_slice(&(nonce + 1).to_le_bytes());
        }
        assert_eq!(BlockHeader::decode(&header).bits, 0x207f_ffff);
        previous = sha256d(&header);
        headers.push(header);
    }
    headers
}

#[test]
fn rubbish_is_dropped_or_ignored_and_others_are_served() {
    let node = Node::start(NodeOptions::default());
    node.generate(3, &address());
    let ping = message(REGTEST, "ping", &[0; 8]);
    let mut forged = ping.clone();
    forged[20] ^= 1;
    let check = |name: &str, bytes: &[u8], fate| check_frame(&node, name, bytes, fate);
    check("a mebibyte of noise", &noise(1 << 20), Fate::Dropped);
    check("the magic of the main chain", &message(MAIN, "ping", &[0; 8]), Fate::Dropped);
    check("a promise of 4 GiB", &header(REGTEST, "block", u32::MAX), Fate::Dropped);
    check("a promise of one byte too many", &header(REGTEST, "tx", 4_000_001), Fate::Dropped);
    check("a wrong checksum", &forged, Fate::Ignored);
    check("a name nobody knows", &message(REGTEST, "nonsense", &noise(100)), Fate::Ignored);
    check("a name that is no text", &message(REGTEST, "a\u{1}b", &[]), Fate::Ignored);
    check("a second version", &message(REGTEST, "version", &noise(90)), Fate::Ignored);
    let many = [&[0xfe], &100_000_u32.to_le_bytes()[..], &[0; 36 * 100]].concat();
    check("an inventory that is too long", &message(REGTEST, "inv", &many), Fate::Dropped);
    check("a block that is cut off", &message(REGTEST, "block", &noise(79)), Fate::Dropped);
    let made_up = headers_payload([&noise(80)[..]].into_iter());
    check("a made-up header that links to nothing", &message(REGTEST, "headers", &made_up), Fate::Dropped);
    let unlinked = cheap_headers(2).remove(1);
    let unlinked = headers_payload([&unlinked[..]].into_iter());
    check("a header with work that links to nothing", &message(REGTEST, "headers", &unlinked), Fate::Ignored);
    let mut poor = cheap_headers(1).remove(0);
    while sha256d(&poor)[31] < 0x80 {
        poor[76] = poor[76].wrapping_add(1);
    }
    let poor = headers_payload([&poor[..]].into_iter());
    check("a header without work", &message(REGTEST, "headers", &poor), Fate::Dropped);
}

#[test]
fn headers_without_enough_work_take_no_memory() {
    let flags = vec!["-minimumchainwork=0x100000000".to_owned()];
    let node = Node::start(NodeOptions { flags, ..NodeOptions::default() });
    let before = memory(&node);
    let headers = cheap_headers(100_000);
    for _ in 0..3 {
        let mut puppet = Puppet::greeted(node.address(), REGTEST, 100_000);
        for chunk in headers.chunks(2_000) {
            let payload = headers_payload(chunk.iter().map(|header| &header[..]));
            // Leaving such a peer is as good as listening without remembering.
            if puppet.send("headers", &payload).is_err() {
                break;
            }
        }
        check_alive(&mut Puppet::greeted(node.address(), REGTEST, 0), "after the flood");
    }
    let info = node.rpc().call("getblockchaininfo", json!([]));
    assert_eq!((&info["headers"], &info["blocks"]), (&json!(0), &json!(0)), "nothing is remembered");
    assert_eq!(node.rpc().call("getchaintips", json!([])).as_array().map(Vec::len), Some(1));
    let grown = memory(&node).saturating_sub(before);
    eprintln!("3 times 100,000 headers: the node grew by {grown} KiB");
    assert!(grown < MEMORY_MAX, "the node grew by {grown} KiB");
}

#[test]
fn slow_peers_are_dropped_and_hold_nobody_up() {
    let node = Node::start(NodeOptions::default());
    let mut silent: Vec<Puppet> = (0..30).map(|_| Puppet::connect(node.address(), REGTEST)).collect();
    let mut dripping = Puppet::connect(node.address(), REGTEST);
    let version = message(REGTEST, "version", &[0; 100]);
    check_alive(&mut Puppet::greeted(node.address(), REGTEST, 0), "beside silent peers");
    let started = Instant::now();
    let mut bytes = version.iter();
    let is_dropped = loop {
        let is_sent = bytes.next().is_some_and(|byte| dripping.send_bytes(&[*byte]).is_ok());
        if !is_sent || dripping.is_left(Duration::from_secs(1)) {
            break true;
        }
        if started.elapsed() > PATIENCE {
            break false;
        }
    };
    eprintln!("a byte per second was listened to for {:?}", started.elapsed());
    assert!(is_dropped, "a peer may drip for ever");
    for puppet in &mut silent {
        assert!(puppet.is_left(Duration::from_secs(15)), "a silent peer is still there");
    }
    check_alive(&mut Puppet::greeted(node.address(), REGTEST, 0), "after silent peers");
}
