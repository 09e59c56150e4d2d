use corepc_types::v31;
use serde_json::{Value, json};

use super::*;
use crate::host::{ConnectionType, PeerInfo};

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
