//! Bitcoin's chains as values (Bitcoin Core 31, `kernel/chainparams.cpp`).

use super::{
    AddressPrefixes, BuriedHeights, Clock, Deployment, DuplicateCoinbase, Genesis, Parameters,
    PeerParameters, ScriptFlagException,
};
use crate::amount::Amount;
use crate::hash::{BlockHash, sha256d};
use crate::script::Flags;
use hex_conservative::decode_to_vec;

/// What the coinbase of the first block says.
const TIMES: &str = "The Times 03/Jan/2009 Chancellor on brink of second bailout for banks";
/// Whom the first block pays: a key, CHECKSIG.
const GENESIS_SCRIPT: &str = "4104678afdb0fe5548271967f1a67130b7105cd6a828e03909a67962e0ea1f61deb649f6bc3f4cef38c4f355\
                              04e51ec112de5c384df7ba0b8d578a4c702b6bf11d5fac";
/// testnet4 says the id of a block of May 2024.
const TESTNET4_MESSAGE: &str = "03/May/2024 000000000000000000001ebd58c244970b3aa9d783bb001011fbe8ea8e98e00e";
/// testnet4 pays a key of zeros, CHECKSIG.
const TESTNET4_SCRIPT: &str = "21000000000000000000000000000000000000000000000000000000000000000000ac";
/// The public signet's challenge: one of two keys signs.
const SIGNET_CHALLENGE: &str = "512103ad5e0edad18cb1f0fc0d28a3d4f1f3e445640337489abb10404f2d1e086be430210359ef5021964fe22d\
                                6f8e05b2463c9540ce96883fe3b278760f048f5189f2e6c452ae";

/// Rules that hold from the first block on.
const SINCE_BLOCK_1: BuriedHeights = BuriedHeights { bip34: 1, bip65: 1, bip66: 1, csv: 1, segwit: 1 };

fn hex(text: &str) -> Vec<u8> {
    decode_to_vec(text).expect("constants above are hexadecimal")
}

fn id(text: &str) -> BlockHash {
    text.parse().expect("constants below are 64 hexadecimal digits")
}

fn genesis(time: u32, nonce: u32, bits: u32) -> Genesis {
    Genesis {
        message: TIMES.into(),
        script_pubkey: hex(GENESIS_SCRIPT),
        reward: Amount(50 * Amount::COIN.0),
        version: 1,
        time,
        bits,
        nonce,
    }
}

fn peers(magic: [u8; 4], port: u16, rpc_port: u16, seeds: &[&str]) -> PeerParameters {
    PeerParameters { magic, port, rpc_port, seeds: seeds.iter().map(|&seed| seed.into()).collect() }
}

/// A deployment nobody will ever see: Bitcoin Core keeps it to test the machinery.
fn testdummy(threshold: u32) -> Deployment {
    Deployment {
        name: "testdummy".into(),
        bit: 28,
        clock: Clock::Never,
        activation_height_min: 0,
        period: 2016,
        threshold,
        is_optional: true,
    }
}

/// Taproot, whose rules are on for every block but one exception: the vote is history, told by RPC.
fn taproot(clock: Clock, activation_height_min: u32, threshold: u32) -> Deployment {
    Deployment {
        name: "taproot".into(),
        bit: 2,
        clock,
        activation_height_min,
        period: 2016,
        threshold,
        is_optional: true,
    }
}

/// Bitcoin.
pub fn bitcoin_main() -> Parameters {
    Parameters {
        name: "bitcoin".into(),
        rpc_name: "main".into(),
        is_test: false,
        genesis: genesis(1_231_006_505, 2_083_236_893, 0x1d00_ffff),
        subsidy: Amount(50 * Amount::COIN.0),
        subsidy_halving_interval: 210_000,
        money_max: Amount::MONEY_MAX,
        coinbase_maturity: 100,
        buried: BuriedHeights {
            bip34: 227_931,
            bip65: 388_381,
            bip66: 363_725,
            csv: 419_328,
            segwit: 481_824,
        },
        bip34_block: id("000000000000024b89b42a942fe0d9fea3bb44ab7bd1b19115dd6a759c0808b8"),
        duplicate_coinbases: vec![
            DuplicateCoinbase {
                height: 91_842,
                block: id("00000000000a4d0a398161ffc163c503763b1f4360639393e0e4c8e300e0caec"),
            },
            DuplicateCoinbase {
                height: 91_880,
                block: id("00000000000743f190a18c5577a3c2d2a1f610ae9601ac046a38084ccb7cd721"),
            },
        ],
        script_flag_exceptions: vec![
            ScriptFlagException {
                block: id("00000000000002dc756eebf4f49723ed8d30cc28a5f108eb94b1ba88ac4f9c22"),
                flags: Flags::NONE,
            },
            ScriptFlagException {
                block: id("0000000000000000000f14c35b2d841e986ab5441de8c585d5ffe55ea1e395ad"),
                flags: Flags(Flags::P2SH.0 | Flags::WITNESS.0),
            },
        ],
        deployments: vec![
            testdummy(1815),
            taproot(Clock::Time { start: 1_619_222_400, timeout: 1_628_640_000 }, 709_632, 1815),
        ],
        signet_challenge: None,
        addresses: AddressPrefixes::bitcoin(),
        peers: peers(
            [0xf9, 0xbe, 0xb4, 0xd9],
            8333,
            8332,
            &[
                "dnsseed.bluematt.me",
                "seed.bitcoin.jonasschnelli.ch",
                "seed.btc.petertodd.net",
                "seed.bitcoin.sprovoost.nl",
                "dnsseed.emzy.de",
                "seed.bitcoin.wiz.biz",
                "seed.mainnet.achownodes.xyz",
            ],
        ),
    }
}

/// Bitcoin's fourth test network (BIP-0094).
pub fn bitcoin_testnet4() -> Parameters {
    Parameters {
        name: "bitcoin-testnet4".into(),
        rpc_name: "testnet4".into(),
        is_test: true,
        genesis: Genesis {
            message: TESTNET4_MESSAGE.into(),
            script_pubkey: hex(TESTNET4_SCRIPT),
            ..genesis(1_714_777_860, 393_743_547, 0x1d00_ffff)
        },
        buried: SINCE_BLOCK_1,
        bip34_block: BlockHash::default(),
        duplicate_coinbases: Vec::new(),
        script_flag_exceptions: Vec::new(),
        deployments: vec![testdummy(1512), taproot(Clock::Always, 0, 1512)],
        addresses: AddressPrefixes::bitcoin_test("tb"),
        peers: peers(
            [0x1c, 0x16, 0x3f, 0x28],
            48_333,
            48_332,
            &["seed.testnet4.bitcoin.sprovoost.nl", "seed.testnet4.wiz.biz"],
        ),
        ..bitcoin_main()
    }
}

/// Bitcoin's public signet (BIP-0325). [`Parameters::with_signet_challenge`] makes a private one of it.
pub fn bitcoin_signet() -> Parameters {
    Parameters {
        name: "bitcoin-signet".into(),
        rpc_name: "signet".into(),
        is_test: true,
        genesis: genesis(1_598_918_400, 52_613_770, 0x1e03_77ae),
        deployments: vec![testdummy(1815), taproot(Clock::Always, 0, 1815)],
        peers: peers(
            [0; 4],
            38_333,
            38_332,
            &["seed.signet.bitcoin.sprovoost.nl", "seed.signet.achownodes.xyz"],
        ),
        ..bitcoin_testnet4()
    }
    .with_signet_challenge(hex(SIGNET_CHALLENGE))
}

/// Bitcoin's regression test chain: blocks are found at once, the subsidy halves every 150.
pub fn bitcoin_regtest() -> Parameters {
    let testdummy = Deployment {
        clock: Clock::Time { start: 0, timeout: Clock::NO_TIMEOUT },
        period: 144,
        ..testdummy(108)
    };
    Parameters {
        name: "bitcoin-regtest".into(),
        rpc_name: "regtest".into(),
        is_test: true,
        genesis: genesis(1_296_688_602, 2, 0x207f_ffff),
        subsidy_halving_interval: 150,
        buried: BuriedHeights { segwit: 0, ..SINCE_BLOCK_1 },
        deployments: vec![testdummy, Deployment { period: 144, ..taproot(Clock::Always, 0, 108) }],
        addresses: AddressPrefixes::bitcoin_test("bcrt"),
        peers: peers([0xfa, 0xbf, 0xb5, 0xda], 18_444, 18_443, &[]),
        ..bitcoin_testnet4()
    }
}

impl Parameters {
    /// A signet with this challenge. Its peers know each other by the first bytes of the challenge's hash.
    #[must_use]
    pub fn with_signet_challenge(mut self, challenge: Vec<u8>) -> Self {
        let mut serialized = Vec::with_capacity(challenge.len() + 1);
        crate::codec::put_prefixed(&mut serialized, &challenge);
        self.peers.magic.copy_from_slice(&sha256d(&serialized)[..4]);
        self.signet_challenge = Some(challenge);
        self
    }
}
