//! The `config` object of a genesis file: geth's keys and Besu's, in any case of letters, as Besu has it.

use alloy_primitives::{Address, U256, address};

use super::json::{GenesisError, Node};
use super::{BaseFeeRule, BlobCounts, BlobSchedule, ChainConfig, DaoFork, Fork, ForkSchedule};

/// EIP-7002.
const WITHDRAWAL_REQUESTS: Address = address!("0x00000961Ef480Eb55e80D19ad83579A64c007002");
/// EIP-7251.
const CONSOLIDATION_REQUESTS: Address = address!("0x0000BBdDc7CE488642fb579F8B00f3a590007251");

/// Forks by the lower-case names of the keys that activate them.
const FORK_KEYS: [(&str, Fork); 21] = [
    ("homesteadblock", Fork::Homestead),
    ("eip150block", Fork::TangerineWhistle),
    ("byzantiumblock", Fork::Byzantium),
    ("constantinopleblock", Fork::Constantinople),
    ("petersburgblock", Fork::Petersburg),
    ("constantinoplefixblock", Fork::Petersburg),
    ("istanbulblock", Fork::Istanbul),
    ("muirglacierblock", Fork::MuirGlacier),
    ("berlinblock", Fork::Berlin),
    ("londonblock", Fork::London),
    ("arrowglacierblock", Fork::ArrowGlacier),
    ("grayglacierblock", Fork::GrayGlacier),
    ("shanghaitime", Fork::Shanghai),
    ("cancuntime", Fork::Cancun),
    ("praguetime", Fork::Prague),
    ("osakatime", Fork::Osaka),
    ("bpo1time", Fork::Bpo1),
    ("bpo2time", Fork::Bpo2),
    ("bpo3time", Fork::Bpo3),
    ("bpo4time", Fork::Bpo4),
    ("bpo5time", Fork::Bpo5),
];

/// Keys that decide nothing here: history, peers, and what words in other keys already say.
const HARMLESS: [&str; 8] = [
    "eip150hash",
    "terminaltotaldifficultypassed",
    "networkid",
    "discovery",
    "checkpoint",
    "comment",
    "chainname",
    "genesisstatehashcachingenabled",
];

/// Keys of other engines, and what to do about them.
const ENGINES: [&str; 7] = ["clique", "ibft", "ibft2", "qbft", "bft", "aura", "transitions"];

impl ChainConfig {
    /// Reads the `config` object of a genesis file.
    pub(super) fn from_json(node: &Node<'_>) -> Result<Self, GenesisError> {
        let mut config = Self {
            forks: ForkSchedule::default(),
            terminal_total_difficulty: None,
            deposit_contract: None,
            ..Self::up_to(0, Fork::Frontier)
        };
        let (mut chain_id, mut dao, mut dao_support, mut spurious) = (None, None, false, Vec::new());
        for (key, member) in node.members()? {
            let key = key.to_lowercase();
            match key.as_str() {
                "chainid" => chain_id = Some(member.number64()?),
                "daoforkblock" => dao = Some(member.number64()?),
                "daoforksupport" => dao_support = member.boolean()?,
                "eip155block" | "eip158block" => spurious.push((member.clone(), member.number64()?)),
                _ => config.read(&key, &member)?,
            }
        }
        config.chain_id = chain_id.ok_or_else(|| node.wrong("chainId is missing"))?;
        config.dao = dao.map(|block| DaoFork { block, support: dao_support });
        config.read_spurious_dragon(&spurious)?;
        if config.forks.get(Fork::Petersburg).is_none() {
            // As geth: without a block of its own Petersburg comes with Constantinople.
            config.forks.set(Fork::Petersburg, config.forks.get(Fork::Constantinople));
        }
        config.check().map_err(|what| node.wrong(what))?;
        Ok(config)
    }

    fn read_spurious_dragon(&mut self, blocks: &[(Node<'_>, u64)]) -> Result<(), GenesisError> {
        if let [(_, first), (node, second)] = blocks
            && first != second
        {
            return Err(node.wrong("eip155Block and eip158Block must be equal: both are Spurious Dragon"));
        }
        self.forks.set(Fork::SpuriousDragon, blocks.first().map(|(_, block)| *block));
        Ok(())
    }

    fn read(&mut self, key: &str, member: &Node<'_>) -> Result<(), GenesisError> {
        if let Some((_, fork)) = FORK_KEYS.iter().find(|(name, _)| *name == key) {
            self.forks.set(*fork, Some(member.number64()?));
            return Ok(());
        }
        match key {
            "mergenetsplitblock" => self.merge_netsplit = Some(member.number64()?),
            "terminaltotaldifficulty" => self.terminal_total_difficulty = Some(member.number()?),
            "depositcontractaddress" => self.deposit_contract = Some(member.address()?),
            "blobschedule" => self.blobs = blob_schedule(member)?,
            "ethash" => self.read_ethash(member)?,
            "contractsizelimit" => self.limits.code_size_max = Some(small(member)?),
            "zerobasefee" => {
                if member.boolean()? {
                    self.fees.base_fee = BaseFeeRule::Fixed(0);
                }
            }
            _ => check_constant(key, member)?,
        }
        Ok(())
    }

    fn read_ethash(&mut self, member: &Node<'_>) -> Result<(), GenesisError> {
        for (key, value) in member.members()? {
            match key.to_lowercase().as_str() {
                "fixeddifficulty" => self.fixed_difficulty = Some(value.number()?),
                _ => return Err(value.wrong("unknown key")),
            }
        }
        Ok(())
    }
}

/// Keys of which only one value is known here; all others are refused by name.
fn check_constant(key: &str, member: &Node<'_>) -> Result<(), GenesisError> {
    if HARMLESS.contains(&key) {
        return Ok(());
    }
    if ENGINES.contains(&key) {
        return Err(member.wrong("this engine is not known; the chain file says which engine seals blocks"));
    }
    let (known, hint) = match key {
        "withdrawalrequestcontractaddress" => {
            (member.address()? == WITHDRAWAL_REQUESTS, "EIP-7002's address")
        }
        "consolidationrequestcontractaddress" => {
            (member.address()? == CONSOLIDATION_REQUESTS, "EIP-7251's address")
        }
        "evmstacksize" => (member.number()? == U256::from(1024), "1024"),
        "isquorum" | "enableverkleatgenesis" | "fixedbasefee" => (!member.boolean()?, "false"),
        "eccurve" => (member.value == "secp256k1", "secp256k1"),
        "terminalblockhash" => (member.word()?.is_zero(), "zero"),
        _ => {
            return Err(
                member.wrong("unknown key; it may decide which blocks are valid, so it is not ignored")
            );
        }
    };
    if known { Ok(()) } else { Err(member.wrong(format!("only {hint} is supported"))) }
}

fn small(member: &Node<'_>) -> Result<usize, GenesisError> {
    let number = member.number64()?;
    usize::try_from(number)
        .ok()
        .filter(|size| i32::try_from(*size).is_ok())
        .ok_or_else(|| member.wrong("a size of up to 2^31 - 1 bytes was expected"))
}

/// What a fork is called in `blobSchedule`.
fn blob_fork(key: &str) -> Option<Fork> {
    super::blobs::BLOB_FORKS.into_iter().find(|fork| fork.name().eq_ignore_ascii_case(key))
}

/// Forks the file does not mention keep Ethereum's counts.
fn blob_schedule(node: &Node<'_>) -> Result<BlobSchedule, GenesisError> {
    let mut schedule = BlobSchedule::ethereum();
    for (key, entry) in node.members()? {
        let fork = blob_fork(key).ok_or_else(|| entry.wrong("no fork of this name changes blob counts"))?;
        let (mut target, mut max, mut fraction) = (None, None, None);
        for (key, value) in entry.members()? {
            let field = match key.to_lowercase().as_str() {
                "target" => &mut target,
                "max" => &mut max,
                "basefeeupdatefraction" => &mut fraction,
                _ => return Err(value.wrong("unknown key")),
            };
            *field = Some(value.number64()?);
        }
        let field = |value: Option<u64>, name| value.ok_or_else(|| entry.wrong(format!("{name} is missing")));
        let counts = BlobCounts {
            target: field(target, "target")?,
            max: field(max, "max")?,
            base_fee_update_fraction: field(fraction, "baseFeeUpdateFraction")?,
        };
        if counts.max > BLOBS_MAX {
            return Err(entry.wrong(format!("max is above {BLOBS_MAX}")));
        }
        schedule.set(fork, Some(counts));
    }
    Ok(schedule)
}

/// So that sums of blob gas stay far below 64 bits; no network could carry this many.
const BLOBS_MAX: u64 = 1 << 20;
