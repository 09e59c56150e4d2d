//! `bip341_wallet_vectors.json`: trees, tweaks, addresses and signature hashes of Taproot (BIP-0341 § Test vectors).

use crate::support::{list, output, read, text, unhex};
use bytes::Bytes;
use chainwright_utxo::address::{AddressPrefixes, Destination};
use chainwright_utxo::script::{
    Flags, TaprootSpend, tap_branch_hash, tap_leaf_hash, tap_tweak_hash, taproot_output_key,
};
use chainwright_utxo::sighash::PrecomputedTransaction;
use chainwright_utxo::tx::Transaction;
use hex_conservative::DisplayHex as _;
use serde_json::Value;

fn vectors() -> Option<Value> {
    Some(serde_json::from_slice(&read("bip341_wallet_vectors.json")?).expect("the file is JSON"))
}

#[track_caller]
fn hash(value: &Value) -> [u8; 32] {
    unhex(text(value)).try_into().expect("32 bytes")
}

/// A tree's root and leaves.
struct Tree {
    root: [u8; 32],
    leaves: Vec<Leaf>,
}

struct Leaf {
    id: u64,
    hash: [u8; 32],
    version: u8,
    /// The siblings on the way to the root.
    path: Vec<[u8; 32]>,
}

fn tree(node: &Value) -> Tree {
    if let Value::Array(children) = node {
        let (mut left, mut right) = (tree(&children[0]), tree(&children[1]));
        left.leaves.iter_mut().for_each(|leaf| leaf.path.push(right.root));
        right.leaves.iter_mut().for_each(|leaf| leaf.path.push(left.root));
        let root = tap_branch_hash(&left.root, &right.root);
        left.leaves.append(&mut right.leaves);
        return Tree { root, leaves: left.leaves };
    }
    let version = node["leafVersion"].as_u64().expect("a version") as u8;
    let script = unhex(text(&node["script"]));
    let root = tap_leaf_hash(version, &script);
    let id = node["id"].as_u64().expect("an id");
    Tree { root, leaves: vec![Leaf { id, hash: root, version, path: Vec::new() }] }
}

#[track_caller]
fn check_output(case: &Value) {
    let (given, middle, expected) = (&case["given"], &case["intermediary"], &case["expected"]);
    let internal = hash(&given["internalPubkey"]);
    let mut tree = (!given["scriptTree"].is_null()).then(|| tree(&given["scriptTree"]));
    let root = tree.as_ref().map(|tree| tree.root);
    assert_eq!(root, (!middle["merkleRoot"].is_null()).then(|| hash(&middle["merkleRoot"])));
    assert_eq!(tap_tweak_hash(&internal, root.as_ref()), hash(&middle["tweak"]));
    let (key, odd) = taproot_output_key(&internal, root.as_ref()).expect("a good key");
    assert_eq!(key, hash(&middle["tweakedPubkey"]));
    let destination = Destination::Witness { version: 1, program: key[..].into() };
    assert_eq!(destination.script_pubkey().as_bytes(), unhex(text(&expected["scriptPubKey"])));
    let address = destination.encode(&AddressPrefixes::bitcoin());
    assert_eq!(address.as_deref(), Some(text(&expected["bip350Address"])));

    let Some(tree) = &mut tree else { return };
    tree.leaves.sort_by_key(|leaf| leaf.id);
    let hashes = list(&middle["leafHashes"]);
    let controls = list(&expected["scriptPathControlBlocks"]);
    assert_eq!((hashes.len(), controls.len()), (tree.leaves.len(), tree.leaves.len()));
    for (position, leaf) in tree.leaves.iter().enumerate() {
        assert_eq!(leaf.hash, hash(&hashes[position]));
        let mut control = vec![leaf.version | u8::from(odd)];
        control.extend_from_slice(&internal);
        control.extend(leaf.path.iter().flatten());
        assert_eq!(control.to_lower_hex_string(), text(&controls[position]));
    }
}

#[test]
fn trees_lead_to_the_published_outputs() {
    let Some(vectors) = vectors() else { return };
    let cases = list(&vectors["scriptPubKey"]);
    assert_eq!(cases.len(), 7, "the file has these many cases");
    cases.iter().for_each(check_output);
}

#[track_caller]
fn check_key_path(case: &Value) {
    let given = &case["given"];
    let spent = list(&given["utxosSpent"]).iter().map(|entry| {
        output(entry["amountSats"].as_i64().expect("an amount"), unhex(text(&entry["scriptPubKey"])))
    });
    let spent: Vec<_> = spent.collect();
    let unsigned =
        Transaction::decode(Bytes::from(unhex(text(&given["rawUnsignedTx"])))).expect("it decodes");
    let unsigned = PrecomputedTransaction::new(unsigned, spent.clone()).expect("as many as inputs");
    for input in list(&case["inputSpending"]) {
        let index = input["given"]["txinIndex"].as_u64().expect("an index") as usize;
        let hash_type = input["given"]["hashType"].as_u64().expect("a hash type") as u8;
        let sighash = unsigned.taproot_sighash(index, hash_type, &TaprootSpend::default());
        assert_eq!(sighash, Some(hash(&input["intermediary"]["sigHash"])), "input {index}");
    }
    let signed = Transaction::decode(Bytes::from(unhex(text(&case["auxiliary"]["fullySignedTx"]))));
    let signed = PrecomputedTransaction::new(signed.expect("it decodes"), spent).expect("as many as inputs");
    for index in 0..signed.spent().len() {
        assert_eq!(signed.verify_input(index, Flags::STANDARD), Ok(()), "input {index}");
    }
}

#[test]
fn key_path_signatures_sign_the_published_hashes() {
    let Some(vectors) = vectors() else { return };
    list(&vectors["keyPathSpending"]).iter().for_each(check_key_path);
}
