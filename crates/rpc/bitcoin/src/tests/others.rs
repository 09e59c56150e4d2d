//! Addresses, the network, help, and what belongs to no other group.

use corepc_types::v31;
use serde_json::{Value, json};

use super::*;
use chainwright_rpc::GenericDialect;
use chainwright_rpc::{ConnectionType, PeerInfo};
use chainwright_rpc::{EventDetail, EventLine, EventsError, LedgerProbe, Page, Probe as _};

fn peer() -> PeerInfo {
    PeerInfo {
        id: 3,
        address: "127.0.0.1:18444".into(),
        network: "not_publicly_routable".into(),
        services: 0x409,
        ping_us: Some(1500),
        version: 70016,
        user_agent: "/btcd:0.26.2/".into(),
        connection_type: ConnectionType::OutboundFullRelay,
        transport: "v1".into(),
        ..PeerInfo::default()
    }
}

#[test]
fn peers_have_the_reference_nodes_shape() {
    let node = TestNode::start();
    node.host.peers.lock().push(peer());
    let _: v31::GetPeerInfo = node.typed("getpeerinfo", json!([]));
    let shown = node.ok("getpeerinfo", json!([]));
    assert_eq!(shown[0]["services"], "0000000000000409");
    assert_eq!(shown[0]["servicesnames"], json!(["NETWORK", "WITNESS", "NETWORK_LIMITED"]));
    assert_eq!(shown[0]["pingtime"].to_string(), "0.0015");
    assert_eq!(
        (&shown[0]["synced_headers"], &shown[0]["minfeefilter"].to_string()),
        (&json!(-1), &"0.00000000".into())
    );
    let info: v31::GetNetworkInfo = node.typed("getnetworkinfo", json!([]));
    assert_eq!((info.connections, info.version), (1, 310_000));
    assert_eq!(node.ok("getconnectioncount", json!([])), 1);
    let _: v31::GetNetTotals = node.typed("getnettotals", json!([]));
    assert_eq!(node.ok("disconnectnode", json!({"nodeid": 3})), Value::Null);
    node.check_error("disconnectnode", json!(["127.0.0.1:1"]), -29, "Node not found in connected nodes");
    node.check_error(
        "disconnectnode",
        json!(["a", 1]),
        -32602,
        "Only one of address and nodeid should be provided.",
    );
}

#[test]
fn nodes_are_added_and_removed() {
    let node = TestNode::start();
    node.ok("addnode", json!(["10.0.0.1:8333", "add"]));
    node.check_error("addnode", json!(["10.0.0.1:8333", "add"]), -23, "Error: Node already added");
    let _: v31::GetAddedNodeInfo = node.typed("getaddednodeinfo", json!([]));
    node.check_error("getaddednodeinfo", json!(["x"]), -24, "Error: Node has not been added.");
    node.ok("addnode", json!(["10.0.0.1:8333", "remove"]));
    let message = "Error: Node could not be removed. It has not been added previously.";
    node.check_error("addnode", json!(["10.0.0.1:8333", "remove"]), -24, message);
    let help = node.call("addnode", json!(["x", "y"])).unwrap_err();
    assert!(help.code == -1 && help.message.starts_with("addnode \"node\" \"command\" ( v2transport )\n\n"));
    assert_eq!(node.ok("setnetworkactive", json!([false])), false);
    assert_eq!(node.ok("ping", json!([])), Value::Null);
}

#[test]
fn addresses_are_validated() {
    let node = TestNode::start();
    let _: v31::ValidateAddress = node.typed("validateaddress", json!([address()]));
    let shown = node.ok("validateaddress", json!([address()]));
    assert_eq!(
        (&shown["isvalid"], &shown["isscript"], &shown["witness_version"]),
        (&json!(true), &json!(true), &json!(0))
    );
    let wrong = node.ok("validateaddress", json!(["bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"]));
    assert_eq!(wrong["isvalid"], false);
    assert!(wrong["error"].as_str().unwrap().contains("Invalid"), "{wrong}");
    assert_eq!(node.ok("getindexinfo", json!([])), json!({}));
    assert_eq!(node.ok("syncwithvalidationinterfacequeue", json!([])), Value::Null);
}

#[test]
fn every_method_is_helpful() {
    let node = TestNode::start();
    for method in node.methods.values() {
        let help = method.help();
        assert!(help.starts_with(method.name) && !method.description.trim().is_empty(), "{help}");
    }
}

#[test]
fn events_lead_a_consumer_through_a_reorganisation() {
    let node = TestNode::start();
    let probe = LedgerProbe::new(node.chain.published().clone());
    let old = node.mine(2);
    let page = |lines| Page { lines, bytes: usize::MAX };
    // Events are told once they would survive a power cut, a moment after the block is the head.
    let wait_for = |cursor: Option<&str>, detail, count| loop {
        let lines = probe.events(cursor, page(10), detail).unwrap();
        if lines.len() == count {
            return lines;
        }
        assert!(lines.len() < count, "{lines:?}");
        std::thread::yield_now();
    };
    let seen = wait_for(None, EventDetail::default(), 3);
    let cursor = seen.last().unwrap().cursor.clone();
    assert_eq!((seen.len(), cursor.as_str()), (3, format!("2:{}", old[1]).as_str()));
    node.ok("invalidateblock", json!([old[1]]));
    let new = node.ok("generatetodescriptor", json!([2, "raw(51)"]));
    let detail = EventDetail { block: true, delta: true, receipts: true };
    let events = wait_for(Some(&cursor), detail, 3);
    let read = |line: &EventLine| serde_json::from_str::<Value>(&line.text).unwrap();
    let shown: Vec<Value> = events.iter().map(read).collect();
    let steps: Vec<_> = shown.iter().map(|json| (&json["event"], &json["id"])).collect();
    let (left, joined) = (json!("disconnected"), json!("connected"));
    assert_eq!(steps, [(&left, &json!(old[1])), (&joined, &new[0]), (&joined, &new[1])]);
    let coin = |line: usize, side: &str| shown[line]["delta"][0][side].is_string();
    assert!(
        coin(0, "old") && !coin(0, "new") && coin(1, "new") && !coin(1, "old"),
        "a delta tells what happens"
    );
    assert_eq!(probe.events(Some(&events[2].cursor), page(10), detail), Ok(Vec::new()));
    let after = probe.events(Some(&events[0].cursor), page(1), detail).unwrap();
    assert_eq!(read(&after[0])["id"], new[0]);
    // A page ends with the line that fills it, and has one line at least.
    let lengths: Vec<usize> = events.iter().map(|line| line.text.len()).collect();
    let bounded = |bytes| probe.events(Some(&cursor), Page { lines: 10, bytes }, detail).unwrap().len();
    assert_eq!([bounded(1), bounded(lengths[0]), bounded(lengths[0] + 1)], [1, 1, 2]);
    assert_eq!(probe.events(Some("nonsense"), page(1), detail), Err(EventsError::Malformed));
    let unknown = format!("7:{}", "00".repeat(32));
    assert_eq!(
        probe.events(Some(&unknown), page(1), detail),
        Err(EventsError::UnknownCursor(unknown.clone()))
    );
    assert_eq!(probe.figures().head.height.0, 3);
}

#[test]
fn the_generic_dialect_serves_any_ledger() {
    let (node, outpoint, value) = TestNode::funded();
    let methods = GenericDialect::new(node.chain.clone()).methods();
    let call = |name: &str, params: Value| {
        let method = methods.iter().find(|method| method.name == name).unwrap();
        (method.handler)(&Call::new(method.positional(params)?))
    };
    let head = call("chain_head", json!([])).unwrap();
    assert_eq!((&head["ledger"], &head["head"]["height"]), (&json!("utxo"), &json!(101)));
    let block = call("chain_block", json!([7])).unwrap();
    assert_eq!(block["id"], node.ok("getblockhash", json!([7])));
    assert_eq!(call("chain_block", json!([block["id"]])), Ok(block));
    let tx = spend(outpoint, value, 1000);
    let id = tx.txid().to_string();
    assert_eq!(call("chain_submit", json!([hex(&tx)])).unwrap()["id"], id);
    assert_eq!(call("chain_pool", json!([])), Ok(json!([id])));
    assert_eq!(call("chain_transaction", json!([id])), Ok(hex(&tx).into()));
    assert_eq!(call("chain_submit", json!(["00"])).unwrap_err().code, -22);
    assert_eq!(call("chain_block", json!([500])).unwrap_err().code, -5);
}
