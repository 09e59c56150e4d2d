//! Peers: `getnetworkinfo`, `getpeerinfo`, `addnode`, … (Bitcoin Core `rpc/net.cpp`).

use serde_json::{Value, json};

use crate::encode::{Object, put};
use crate::number::{amount, double};
use crate::{BitcoinNode, Entry};
use chainwright_rpc::{
    AddNode, Answer, Call, HostError, Kind, Method, Parameter, PeerInfo, PeerSelector, RpcError, code,
};

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        category: "network",
        name: "getnetworkinfo",
        parameters: &[],
        description: "Returns an object containing various state info regarding P2P networking.\n",
        run: |node, _| Ok(node.network_info()),
    },
    Entry {
        category: "network",
        name: "getpeerinfo",
        parameters: &[],
        description: "Returns data about each connected network peer as a json array of objects.",
        run: |node, _| Ok(node.host.peers().iter().map(peer_json).collect()),
    },
    Entry {
        category: "network",
        name: "getconnectioncount",
        parameters: &[],
        description: "Returns the number of connections to other nodes.\n",
        run: |node, _| Ok(node.host.peers().len().into()),
    },
    ADD_NODE,
    Entry {
        category: "network",
        name: "getaddednodeinfo",
        parameters: &[Parameter::optional(
            "node",
            Kind::String,
            "all nodes",
            "If provided, return information about this specific node, otherwise all nodes are returned.",
        )],
        description: "Returns information about the given added node, or all added nodes\n(note that onetry addnodes are not listed here)\n",
        run: added_nodes,
    },
    Entry {
        category: "network",
        name: "disconnectnode",
        parameters: &[
            Parameter::optional(
                "address",
                Kind::String,
                "fallback to nodeid",
                "The IP address/port of the node or subnet",
            ),
            Parameter::optional(
                "nodeid",
                Kind::Number,
                "fallback to address",
                "The node ID (see getpeerinfo for node IDs)",
            ),
        ],
        description: "Immediately disconnects from the specified peer node.\n\n\
                      Strictly one out of 'address' and 'nodeid' can be provided to identify the node.\n\n\
                      To disconnect by nodeid, either set 'address' to the empty string, or call using the named 'nodeid' argument only.\n",
        run: disconnect_node,
    },
    Entry {
        category: "network",
        name: "getnettotals",
        parameters: &[],
        description: "Returns information about network traffic, including bytes in, bytes out,\nand current system time.",
        run: |node, _| Ok(node.network_totals()),
    },
    Entry {
        category: "network",
        name: "setnetworkactive",
        parameters: &[Parameter::required(
            "state",
            Kind::Bool,
            "true to enable networking, false to disable",
        )],
        description: "Disable/enable all p2p network activity.\n",
        run: |node, call| {
            node.host.set_network_active(call.flag(0)?.unwrap_or(true));
            Ok(node.host.is_network_active().into())
        },
    },
    Entry {
        category: "network",
        name: "ping",
        parameters: &[],
        description: "Requests that a ping be sent to all other nodes, to measure ping time.\n\
                      Results are provided in getpeerinfo.\n\
                      Ping command is handled in queue with all other commands, so it measures processing backlog, not just network ping.\n",
        run: |node, _| {
            node.host.ping_peers();
            Ok(Value::Null)
        },
    },
];

const ADD_NODE: Entry = Entry {
    category: "network",
    name: "addnode",
    parameters: &[
        Parameter::required(
            "node",
            Kind::String,
            "The IP address/hostname optionally followed by :port of the peer to connect to",
        ),
        Parameter::required(
            "command",
            Kind::String,
            "'add' to add a node to the list, 'remove' to remove a node from the list, 'onetry' to try a connection to the node once",
        ),
        Parameter::optional(
            "v2transport",
            Kind::Bool,
            "set by -v2transport",
            "Attempt to connect using BIP324 v2 transport protocol (ignored for 'remove' command)",
        ),
    ],
    description: "Attempts to add or remove a node from the addnode list.\nOr try a connection to a node once.\n",
    run: add_node,
};

/// The newest protocol version we speak (Bitcoin Core `PROTOCOL_VERSION`).
const PROTOCOL_VERSION: u32 = 70016;
const NODE_P2P_V2: u64 = 1 << 11;
/// Fields of another program's error codes (`rpc/protocol.h`).
const INVALID_PARAMS: i32 = -32602;

/// Names of service bits (Bitcoin Core `serviceFlagToStr`).
fn service_names(services: u64) -> Vec<String> {
    let bits = (0..u64::BITS).filter(|bit| services >> bit & 1 == 1);
    let name = |bit: u32| match bit {
        0 => "NETWORK".into(),
        2 => "BLOOM".into(),
        3 => "WITNESS".into(),
        6 => "COMPACT_FILTERS".into(),
        10 => "NETWORK_LIMITED".into(),
        11 => "P2P_V2".into(),
        unknown => format!("UNKNOWN[2^{unknown}]"),
    };
    bits.map(name).collect()
}

impl BitcoinNode {
    fn network_info(&self) -> Value {
        let peers = self.host.peers();
        let inbound = peers.iter().filter(|peer| peer.is_inbound).count();
        let services = self.host.local_services();
        let policy = &self.ledger().policy;
        let networks = ["ipv4", "ipv6", "onion", "i2p", "cjdns"].map(|name| {
            let reachable = name.starts_with("ip");
            json!({
                "name": name,
                "limited": !reachable,
                "reachable": reachable,
                "proxy": "",
                "proxy_randomize_credentials": false,
            })
        });
        let listening = self.host.listening_address().filter(|address| is_public(address.ip()));
        let local = listening.map(
            |address| json!({ "address": address.ip().to_string(), "port": address.port(), "score": 1 }),
        );
        json!({
            "version": self.client_version,
            "subversion": self.host.user_agent(),
            "protocolversion": PROTOCOL_VERSION,
            "localservices": format!("{services:016x}"),
            "localservicesnames": service_names(services),
            "localrelay": true,
            "timeoffset": median_offset(&peers),
            "networkactive": self.host.is_network_active(),
            "connections": peers.len(),
            "connections_in": inbound,
            "connections_out": peers.len() - inbound,
            "networks": networks,
            "relayfee": amount(policy.relay_fee_min.0),
            "incrementalfee": amount(policy.incremental_fee.0),
            "localaddresses": local.into_iter().collect::<Vec<_>>(),
            "warnings": self.host.warnings(),
        })
    }

    fn network_totals(&self) -> Value {
        let totals = self.host.network_totals();
        let now_ms = (self.host.started_at().0 + self.host.uptime_seconds()) * 1000;
        json!({
            "totalbytesrecv": totals.bytes_received,
            "totalbytessent": totals.bytes_sent,
            "timemillis": now_ms,
            "uploadtarget": {
                "timeframe": 86_400,
                "target": 0,
                "target_reached": false,
                "serve_historical_blocks": true,
                "bytes_left_in_cycle": 0,
                "time_left_in_cycle": 0,
            },
        })
    }
}

/// Whether strangers could reach an address.
fn is_public(ip: std::net::IpAddr) -> bool {
    match ip {
        std::net::IpAddr::V4(ip) => {
            !(ip.is_loopback() || ip.is_private() || ip.is_unspecified() || ip.is_link_local())
        }
        std::net::IpAddr::V6(ip) => {
            !(ip.is_loopback() || ip.is_unspecified() || ip.is_unique_local() || ip.is_unicast_link_local())
        }
    }
}

fn median_offset(peers: &[PeerInfo]) -> i64 {
    let outbound = peers.iter().filter(|peer| !peer.is_inbound);
    let mut offsets: Vec<_> = outbound.map(|peer| peer.time_offset_seconds).collect();
    offsets.sort_unstable();
    offsets.get(offsets.len() / 2).copied().unwrap_or(0)
}

fn peer_json(peer: &PeerInfo) -> Value {
    let height = |height: Option<chainwright_chain::Height>| height.map_or(-1, |height| i64::from(height.0));
    let seconds = |us: u64| double(us as f64 / 1e6);
    let mut object = Object::new();
    put(&mut object, [("id", peer.id.into()), ("addr", peer.address.as_str().into())]);
    if let Some(bind) = peer.address_bind {
        put(&mut object, [("addrbind", bind.to_string().into())]);
    }
    if let Some(local) = &peer.address_local {
        put(&mut object, [("addrlocal", local.as_str().into())]);
    }
    put(
        &mut object,
        [
            ("network", peer.network.as_str().into()),
            ("services", format!("{:016x}", peer.services).into()),
            ("servicesnames", service_names(peer.services).into()),
            ("relaytxes", peer.relays_transactions.into()),
            ("last_inv_sequence", 0.into()),
            ("inv_to_send", 0.into()),
            ("lastsend", peer.last_send.0.into()),
            ("lastrecv", peer.last_receive.0.into()),
            ("last_transaction", peer.last_transaction.0.into()),
            ("last_block", peer.last_block.0.into()),
            ("bytessent", peer.bytes_sent.into()),
            ("bytesrecv", peer.bytes_received.into()),
            ("conntime", peer.connected_at.0.into()),
            ("timeoffset", peer.time_offset_seconds.into()),
        ],
    );
    for (name, us) in
        [("pingtime", peer.ping_us), ("minping", peer.ping_min_us), ("pingwait", peer.ping_wait_us)]
    {
        if let Some(us) = us {
            put(&mut object, [(name, seconds(us))]);
        }
    }
    put(
        &mut object,
        [
            ("version", peer.version.into()),
            ("subver", peer.user_agent.as_str().into()),
            ("inbound", peer.is_inbound.into()),
            ("bip152_hb_to", peer.compact_blocks_to_us.into()),
            ("bip152_hb_from", peer.compact_blocks_from_us.into()),
            ("startingheight", peer.starting_height.into()),
            ("presynced_headers", height(peer.presynced_height).into()),
            ("synced_headers", height(peer.synced_headers).into()),
            ("synced_blocks", height(peer.synced_blocks).into()),
            ("inflight", peer.blocks_in_flight.iter().map(|height| height.0).collect()),
            ("addr_relay_enabled", peer.relays_addresses.into()),
            ("addr_processed", peer.addresses_processed.into()),
            ("addr_rate_limited", peer.addresses_rate_limited.into()),
            ("permissions", peer.permissions.clone().into()),
            ("minfeefilter", amount(i64::try_from(peer.fee_filter_minimum).unwrap_or(i64::MAX))),
            ("bytessent_per_msg", counts(&peer.bytes_sent_by_message)),
            ("bytesrecv_per_msg", counts(&peer.bytes_received_by_message)),
            ("connection_type", peer.connection_type.word().into()),
            ("transport_protocol_type", transport(peer).into()),
            ("session_id", peer.session_id.as_str().into()),
        ],
    );
    object.into()
}

fn counts(by_message: &std::collections::BTreeMap<String, u64>) -> Value {
    let counted = by_message.iter().filter(|(_, bytes)| **bytes > 0);
    Value::Object(counted.map(|(message, bytes)| (message.clone(), (*bytes).into())).collect())
}

fn transport(peer: &PeerInfo) -> &str {
    if peer.transport.is_empty() { "v1" } else { &peer.transport }
}

/// A host's refusal in Bitcoin Core's code and words.
fn refusal(error: HostError) -> RpcError {
    let (code, message) = match error {
        HostError::AlreadyAdded => (code::CLIENT_NODE_ALREADY_ADDED, "Error: Node already added"),
        HostError::NotAdded => (
            code::CLIENT_NODE_NOT_ADDED,
            "Error: Node could not be removed. It has not been added previously.",
        ),
        HostError::NotConnected => (code::CLIENT_NODE_NOT_CONNECTED, "Node not found in connected nodes"),
        HostError::NetworkDisabled => {
            (code::CLIENT_P2P_DISABLED, "Error: Peer-to-peer functionality missing or disabled")
        }
    };
    RpcError::new(code, message)
}

fn add_node(node: &BitcoinNode, call: &Call) -> Answer {
    let address = call.text(0).unwrap_or_default();
    let command = match call.text(1).unwrap_or_default() {
        "add" => AddNode::Add,
        "remove" => AddNode::Remove,
        "onetry" => AddNode::OneTry,
        _ => return Err(RpcError::misc(help_of(&ADD_NODE))),
    };
    if call.flag(2)? == Some(true) && node.host.local_services() & NODE_P2P_V2 == 0 {
        let message = "Error: v2transport requested but not enabled (see -v2transport)";
        return Err(RpcError::parameter(message));
    }
    node.host.add_node(address, command).map_err(refusal)?;
    Ok(Value::Null)
}

fn help_of(entry: &Entry) -> String {
    let method = Method {
        name: entry.name,
        category: entry.category,
        parameters: entry.parameters,
        description: entry.description,
        handler: std::sync::Arc::new(|_| Ok(Value::Null)),
    };
    method.help()
}

fn added_nodes(node: &BitcoinNode, call: &Call) -> Answer {
    let mut nodes = node.host.added_nodes();
    if let Some(wanted) = call.text(0) {
        nodes.retain(|added| added.address == wanted);
        if nodes.is_empty() {
            return Err(RpcError::new(code::CLIENT_NODE_NOT_ADDED, "Error: Node has not been added."));
        }
    }
    let shown = nodes.iter().map(|added| {
        let addresses = added.connected.iter().map(|(address, is_inbound)| {
            json!({ "address": address, "connected": if *is_inbound { "inbound" } else { "outbound" } })
        });
        json!({
            "addednode": added.address,
            "connected": added.connected.is_some(),
            "addresses": addresses.collect::<Vec<_>>(),
        })
    });
    Ok(shown.collect())
}

fn disconnect_node(node: &BitcoinNode, call: &Call) -> Answer {
    let peer = match (call.text(0), call.integer::<i64>(1)?) {
        (Some(address), None) => PeerSelector::Address(address.to_owned()),
        (None | Some(""), Some(id)) => {
            PeerSelector::Id(u64::try_from(id).map_err(|_| refusal(HostError::NotConnected))?)
        }
        _ => {
            let message = "Only one of address and nodeid should be provided.";
            return Err(RpcError::new(INVALID_PARAMS, message));
        }
    };
    node.host.disconnect_node(&peer).map_err(refusal)?;
    Ok(Value::Null)
}
