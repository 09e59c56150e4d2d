//! `chainwright import` and `export`.

use serde_json::Value;

use crate::run::{check_refused, run, stderr, stdout, vectors};

#[test]
fn real_blocks_are_imported_exported_and_imported_again() {
    let Some(vectors) = vectors() else { return };
    let file = vectors.join("bitcoin/mainnet-blocks-1-256.bz2");
    let file = file.to_str().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let import = |data: &str, file: &str| -> Value {
        let output =
            run(folder.path(), &["--json", "import", "--chain", "bitcoin-main", "--datadir", data, file]);
        assert!(output.status.success(), "{}", stderr(&output));
        serde_json::from_str(&stdout(&output)).unwrap()
    };
    let first = import("a", file);
    assert_eq!((first["blocks"].as_u64(), first["height"].as_u64()), (Some(255), Some(255)), "{first}");
    let again = import("a", file);
    assert_eq!((again["blocks"].as_u64(), again["known"].as_u64()), (Some(0), Some(255)), "{again}");
    let export = ["export", "--chain", "bitcoin-main", "--datadir", "a", "blocks.dat"];
    assert!(run(folder.path(), &export).status.success());
    let copy = import("b", "blocks.dat");
    assert_eq!(copy["tip"], first["tip"]);
    check_refused(folder.path(), &export, 1, &["cannot write blocks.dat"]);
    let other = ["import", "--chain", "bitcoin-regtest", "--datadir", "a", "blocks.dat"];
    check_refused(folder.path(), &other, 1, &["belongs to", "hint:"]);
    let other = ["import", "--chain", "bitcoin-regtest", "--datadir", "c", "blocks.dat"];
    check_refused(folder.path(), &other, 1, &["found magic f9beb4d9 where this chain's is fabfb5da"]);
}

#[test]
fn files_that_are_none_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nonsense"), "this is no block file").unwrap();
    std::fs::write(folder.path().join("cut"), [0xfa, 0xbf, 0xb5, 0xda, 200, 0, 0, 0, 1, 2, 3]).unwrap();
    let import = |file| ["import", "--chain", "bitcoin-regtest", file];
    check_refused(folder.path(), &import("missing"), 1, &["cannot read missing"]);
    check_refused(folder.path(), &import("nonsense"), 1, &["found magic"]);
    check_refused(folder.path(), &import("cut"), 1, &["the file ends within a block of 200 bytes"]);
}
