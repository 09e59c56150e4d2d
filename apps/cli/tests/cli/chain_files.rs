//! Chain files, keys, and command lines that make no sense.

use crate::run::{check_refused, run, stdout};

#[test]
fn presets_are_listed_checked_and_printed() {
    let folder = tempfile::tempdir().unwrap();
    let list = stdout(&run(folder.path(), &["spec", "list"]));
    for name in ["bitcoin-main", "bitcoin-testnet4", "bitcoin-signet", "bitcoin-regtest"] {
        assert!(list.contains(name), "{list}");
        let checked = run(folder.path(), &["spec", "check", name]);
        assert!(checked.status.success(), "{name}");
        let printed = stdout(&run(folder.path(), &["spec", "print", name]));
        std::fs::write(folder.path().join("copy.toml"), printed).unwrap();
        let copied = run(folder.path(), &["spec", "check", "copy.toml"]);
        assert_eq!(stdout(&checked), stdout(&copied), "{name}");
    }
    for name in ["utxo-solo", "names-pow", "names-solo", "ethereum-dev", "pow-evm"] {
        assert!(list.contains(name), "{list}");
        let checked = run(folder.path(), &["spec", "check", name]);
        assert!(checked.status.success(), "{name}");
        let is_sealed = !name.contains("pow");
        assert_eq!(stdout(&checked).contains("a key that `chainwright dev` makes"), is_sealed, "{name}");
    }
    let main = stdout(&run(folder.path(), &["spec", "check", "bitcoin-main"]));
    assert!(main.contains("000000000019d6689c085ae165831e934ff763ae46a2a6c172b3f1b60a8ce26f"), "{main}");
}

#[test]
fn nonsense_is_refused_with_words_and_never_a_panic() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(&run(folder.path(), &["spec", "print", "bitcoin-regtest"]));
    std::fs::write(folder.path().join("bad.toml"), text.replace("port = 18444", "prot = 18444")).unwrap();
    std::fs::write(folder.path().join("garbage.toml"), [0xff, 0xfe, 0, 1]).unwrap();
    let check = |arguments: &[&str], words: &[&str]| check_refused(folder.path(), arguments, 2, words);
    check(&["spec", "check", "bad.toml"], &["bad.toml", "line 10", "unknown field `prot`", "hint:"]);
    check(&["spec", "check", "garbage.toml"], &["garbage.toml", "hint: a chain file is text in UTF-8"]);
    check(&["spec", "check", "nowhere.toml"], &["neither a preset nor a file", "hint:"]);
    check(&["spec", "print", "nothing"], &["hint:"]);
    check(&["dev", "--chain", "bitcoin-main"], &["no chain for local networks", "hint:"]);
    check(&["dev", "--block-time", "never"], &["block-time"]);
    check(&["dev", "--nodes", "0"], &["nodes"]);
    check(&["node", "--chain", "bitcoin-regtest", "--mine", "bc1qnothing"], &["no address"]);
    check(
        &["import", "--chain", "bitcoin-regtest", "--assumevalid", "xyz", "file"],
        &["no block id", "hint:"],
    );
    check(&["node", "--chain", "names-solo"], &["names no key", "hint:"]);
    std::fs::write(folder.path().join("sealing.key"), "not a key").unwrap();
    check(
        &["node", "--chain", "names-solo", "--sealing-key", "sealing.key"],
        &["holds no sealing key", "hint:"],
    );
    check(&["launch"], &["launch"]);
    check_refused(folder.path(), &["show", "chain", "--rpc", "127.0.0.1:1", "--user", "a:b"], 3, &["hint:"]);
    check_refused(folder.path(), &["--json", "show", "chain"], 3, &["\"hint\":"]);
}

#[test]
fn a_key_is_secret_until_it_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let new = run(folder.path(), &["key", "new", "--out", "wallet.json"]);
    let said = stdout(&new);
    assert!(new.status.success() && said.contains("bcrt1q") && said.contains("tpub"), "{said}");
    assert!(!said.contains("tprv"), "{said}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(folder.path().join("wallet.json")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    check_refused(folder.path(), &["key", "new", "--out", "wallet.json"], 1, &["hint:"]);
    let address = stdout(&run(folder.path(), &["key", "address", "--wallet", "wallet.json"]));
    assert!(said.contains(address.trim()), "{said}");
    let shown = stdout(&run(folder.path(), &["key", "new", "--show-secret", "--chain", "bitcoin-main"]));
    assert!(shown.contains("bc1q") && shown.contains("xprv") && shown.contains("wif"), "{shown}");
}

#[test]
fn a_data_directory_that_cannot_be_is_refused_with_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "no folder").unwrap();
    std::fs::write(folder.path().join("blocks"), "").unwrap();
    for command in [vec!["node"], vec!["dev"], vec!["import", "blocks"]] {
        let flags = ["--chain", "bitcoin-regtest", "--datadir", "file/below"];
        let arguments: Vec<&str> = command.iter().copied().chain(flags).collect();
        check_refused(folder.path(), &arguments, 1, &["cannot make file/below", "hint: name a folder"]);
    }
}

#[test]
fn a_port_where_nobody_listens_is_called_that() {
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", crate::run::free_port());
    let words = [format!("nothing listens at {address}"), "hint:".to_owned()];
    let words = [words[0].as_str(), words[1].as_str()];
    check_refused(folder.path(), &["show", "chain", "--rpc", &address], 3, &words);
}

#[test]
fn a_sealing_key_shows_its_public_half() {
    let folder = tempfile::tempdir().unwrap();
    let seal = |arguments: &[&str]| stdout(&run(folder.path(), &[&["key", "seal"], arguments].concat()));
    // BIP-0340's first test vector: the secret key 3.
    std::fs::write(folder.path().join("three.key"), format!("{:064x}\n", 3)).unwrap();
    let public = "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9";
    assert_eq!(seal(&["three.key"]).trim().to_lowercase(), public);
    let made = seal(&["new.key", "--new"]);
    assert_eq!((made.trim().len(), &made), (64, &seal(&["new.key"])));
    check_refused(folder.path(), &["key", "seal", "new.key", "--new"], 1, &["cannot write new.key", "hint:"]);
}

#[test]
fn a_data_directory_keeps_to_the_rules_it_was_made_with() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(&run(folder.path(), &["spec", "print", "bitcoin-regtest"]));
    let write = |name: &str, old: &str, new: &str| {
        assert!(text.contains(old), "{old}");
        std::fs::write(folder.path().join(name), text.replace(old, new)).unwrap();
    };
    write("renamed.toml", "name = \"bitcoin-regtest\"", "name = \"mine\"");
    write("other.toml", "subsidy_halving_interval = 150", "subsidy_halving_interval = 151");
    std::fs::write(folder.path().join("blocks"), "").unwrap();
    let import = |chain| ["import", "--chain", chain, "--datadir", "data", "blocks"];
    assert!(run(folder.path(), &import("bitcoin-regtest")).status.success());
    assert!(run(folder.path(), &import("renamed.toml")).status.success(), "a name is no rule");
    check_refused(folder.path(), &import("other.toml"), 1, &["belongs to chain", "with rules", "hint:"]);
}

#[test]
fn a_data_directory_keeps_to_its_sealer() {
    let folder = tempfile::tempdir().unwrap();
    let text = stdout(&run(folder.path(), &["spec", "print", "utxo-solo"]));
    for (name, digit) in [("a", "3"), ("b", "4")] {
        let key = format!("{name}.key");
        std::fs::write(folder.path().join(&key), format!("{digit:0>64}")).unwrap();
        let public = stdout(&run(folder.path(), &["key", "seal", &key]));
        let named = text.replace("[solo]", &format!("[solo]\nkey = \"{}\"\n", public.trim()));
        std::fs::write(folder.path().join(format!("{name}.toml")), named).unwrap();
    }
    std::fs::write(folder.path().join("blocks"), "").unwrap();
    let import = |chain| ["import", "--chain", chain, "--datadir", "data", "blocks"];
    assert!(run(folder.path(), &import("a.toml")).status.success());
    assert!(run(folder.path(), &import("a.toml")).status.success());
    check_refused(folder.path(), &import("b.toml"), 1, &["belongs to chain", "with rules", "hint:"]);
}
