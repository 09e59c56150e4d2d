//! Genesis files: their rules belong to a data directory, and mistakes in them are named.

use std::path::Path;

use crate::run::{check_refused, run, stderr, stdout};

const CHAIN: &str = "name = \"own\"\nconsensus = \"external\"\nledger = \"evm\"\n\
    [network]\nmagic = \"01020304\"\nport = 1\nrpc_port = 2\n[evm]\ngenesis = \"genesis.json\"\n";
const GENESIS: &str = r#"{
    "config": {"chainId": 7, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0, "byzantiumBlock": 0,
        "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0,
        "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 1000, "pragueTime": 2000, "zeroBaseFee": true,
        "contractSizeLimit": 50000},
    "gasLimit": "0x1c9c380", "difficulty": "0x0", "alloc": {"0000000000000000000000000000000000000009": {"balance": "1"}}
}"#;

fn write(folder: &Path, name: &str, text: &str) {
    std::fs::write(folder.join(name), text).unwrap();
}

const IMPORT: [&str; 6] = ["import", "--chain", "own.toml", "--datadir", "data", "blocks"];

/// A change to the rules that leaves the first block as it is.
#[track_caller]
fn check_other_rules(folder: &Path, from: &str, to: &str) {
    assert!(GENESIS.contains(from), "{from}");
    write(folder, "genesis.json", &GENESIS.replacen(from, to, 1));
    check_refused(folder, &IMPORT, 1, &["belongs to chain", "hint:"]);
}

#[test]
fn a_data_directory_keeps_the_rules_of_its_genesis_file() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "own.toml", CHAIN);
    write(folder.path(), "genesis.json", GENESIS);
    write(folder.path(), "blocks", "");
    let first = run(folder.path(), &IMPORT);
    assert!(first.status.success(), "{}", stderr(&first));
    for (from, to) in [
        (r#""cancunTime": 1000"#, r#""cancunTime": 1001"#),
        (r#", "pragueTime": 2000"#, ""),
        (r#""chainId": 7"#, r#""chainId": 8"#),
        (r#""zeroBaseFee": true"#, r#""zeroBaseFee": false"#),
        (r#""contractSizeLimit": 50000"#, r#""contractSizeLimit": 50001"#),
        (
            r#""chainId": 7"#,
            r#""chainId": 7, "depositContractAddress": "0x0000000000000000000000000000000000000001""#,
        ),
        (
            r#""chainId": 7"#,
            r#""chainId": 7, "blobSchedule": {"cancun": {"target": 3, "max": 7, "baseFeeUpdateFraction": 3338477}}"#,
        ),
    ] {
        check_other_rules(folder.path(), from, to);
    }
    // Layout, remarks and the file's name are no rules.
    write(folder.path(), "other.json", &GENESIS.replace(": ", " :  ").replace("\"0x1c9c380\"", "30000000"));
    write(folder.path(), "own.toml", &CHAIN.replace("genesis.json", "other.json"));
    let again = run(folder.path(), &IMPORT);
    assert!(again.status.success(), "{}", stderr(&again));
}

#[test]
fn mistakes_in_genesis_files_are_named_with_the_file() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "own.toml", CHAIN);
    let check = ["spec", "check", "own.toml"];
    check_refused(folder.path(), &check, 1, &["cannot read", "genesis.json"]);
    for (from, to, words) in [
        ("{", "[", "not JSON"),
        ("\"cancunTime\": 1000", "\"cancunTime\": \"soon\"", "config.cancunTime: expected"),
        ("\"chainId\": 7", "\"chainId\": 7, \"futureTime\": 9", "config.futureTime: unknown key"),
        ("\"pragueTime\": 2000", "\"pragueTime\": 20", "Cancun enabled at 1000, but Prague enabled at 20"),
        ("\"balance\": \"1\"", "\"balance\": \"1\", \"owner\": 1", "owner: unknown key"),
    ] {
        write(folder.path(), "genesis.json", &GENESIS.replacen(from, to, 1));
        check_refused(folder.path(), &check, 2, &["genesis.json", words]);
    }
    write(folder.path(), "genesis.json", GENESIS);
    let checked = run(folder.path(), &check);
    assert!(checked.status.success() && stdout(&checked).contains("not checked"), "{}", stderr(&checked));
    for key in ["chain_id = 7", "fork = \"osaka\"", "gas_limit = 5", "genesis_time = 5"] {
        write(folder.path(), "own.toml", &format!("{CHAIN}{key}\n"));
        check_refused(folder.path(), &check, 2, &["does not go with evm.genesis", "hint:"]);
    }
}
