//! Chain files: the presets, and what is wrong with others.

use super::*;

fn preset(name: &str) -> ChainFile {
    load(name).unwrap()
}

/// The first line of the error a changed file gives, hint included.
fn error_of(change: impl FnOnce(String) -> String) -> String {
    let text = change(PRESETS.iter().find(|(name, _)| *name == "bitcoin-regtest").unwrap().1.to_owned());
    parse(&text, "test.toml").unwrap_err().to_string()
}

#[test]
fn bitcoin_files_say_what_the_ledger_knows() {
    use chainwright_utxo::params;
    let known = [
        ("bitcoin-main", params::bitcoin_main()),
        ("bitcoin-testnet4", params::bitcoin_testnet4()),
        ("bitcoin-signet", params::bitcoin_signet()),
        ("bitcoin-regtest", params::bitcoin_regtest()),
    ];
    for (name, mut expected) in known {
        let file = preset(name);
        expected.name = name.to_owned();
        let section = file.utxo.as_ref().unwrap();
        assert_eq!(section.parameters(&file).unwrap(), expected, "{name}");
        file.pow.as_ref().unwrap().engine(section.first_block()).unwrap();
    }
}

#[test]
fn every_preset_is_named_as_its_file() {
    for (name, text) in PRESETS {
        assert_eq!(parse(text, name).unwrap().name, *name);
    }
}

#[test]
fn a_mistake_is_named_with_its_line_and_key() {
    let error = error_of(|text| text.replace("spacing_seconds = 600", "spacing_secs = 600"));
    assert!(error.contains("line 24"), "{error}");
    assert!(error.contains("unknown field `spacing_secs`"), "{error}");
    let error = error_of(|text| text.replace("port = 18444", "port = 99999"));
    assert!(error.contains("line 10") && error.contains("99999"), "{error}");
    let error = error_of(|text| text.replace("magic = \"fabfb5da\"", "magic = \"fabfb5\""));
    assert!(error.contains("expected 4 bytes in hexadecimal, got 3"), "{error}");
    let error = error_of(|text| text.replace("clock = \"always\"", "clock = \"perhaps\""));
    assert!(error.contains("expected \"always\", \"never\""), "{error}");
}

#[test]
fn sections_have_to_fit_the_plug_ins() {
    let error = error_of(|text| text.replace("consensus = \"pow\"", "consensus = \"solo\""));
    assert!(error.contains("[pow] belongs to a plug-in this chain does not use"), "{error}");
    let error = error_of(|text| text.replace("ledger = \"utxo\"", "ledger = \"evm\""));
    assert!(error.contains("[utxo] belongs to a plug-in this chain does not use"), "{error}");
    let error = error_of(|text| text.replace("ledger = \"utxo\"", "ledger = \"abacus\""));
    assert!(error.contains("unknown variant `abacus`"), "{error}");
    let error = error_of(|text| text.split("[utxo]").next().unwrap().to_owned());
    assert!(error.contains("[utxo] is missing"), "{error}");
}

#[test]
fn what_a_genesis_file_says_of_fees_and_limits_holds() {
    let folder = tempfile::tempdir().unwrap();
    let genesis = r#"{"config": {"chainId": 2018, "homesteadBlock": 0, "eip150Block": 0, "eip158Block": 0,
        "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0,
        "londonBlock": 0, "zeroBaseFee": true, "contractSizeLimit": 2147483647,
        "ethash": {"fixeddifficulty": 100}}, "gasLimit": "0x1fffff", "difficulty": "0x10000", "alloc": {}}"#;
    std::fs::write(folder.path().join("besu.json"), genesis).unwrap();
    let config = |text: &str| {
        let section: EvmSection = toml::from_str(text).unwrap();
        section.genesis(Some(folder.path()), false).unwrap().config
    };
    let as_written = config("genesis = 'besu.json'");
    assert_eq!(as_written.limits.code_size_max, Some(2_147_483_647));
    assert_eq!(as_written.fees.base_fee.initial(), 0);
    assert_eq!(as_written.fees.base_fee.next(0, 0x1f_ffff, 0x1f_ffff), 0);
    let overruled = config("genesis = 'besu.json'\ncode_size_max = 50_000\nfees.fixed = 7");
    assert_eq!(overruled.limits.code_size_max, Some(50_000));
    assert_eq!(overruled.fees.base_fee.initial(), 7);
}
