//! The command line, but for `bitcoind`, which reads its own.

use std::net::SocketAddr;
use std::path::PathBuf;

use chainwright_rpc_ethereum::{CallLimits, Past, States};
use clap::{Args, Parser, Subcommand};

/// What follows the help of the program.
const AFTER_HELP: &str = "\
Exit codes: 0 done; 1 failed; 2 the command line or a chain file makes no sense; 3 no node answers.
Results go to standard output, everything else to standard error.

Start with:  chainwright dev";

/// A chain is a file: any consensus with any ledger, one binary.
#[derive(Debug, Parser)]
#[command(name = "chainwright", version, after_help = AFTER_HELP, max_term_width = 110)]
pub(crate) struct CommandLine {
    /// Print results and errors as JSON, one object per line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a local network of a chain: nodes, a miner, funded keys, a first payment.
    Dev(DevArgs),
    /// Run one node of a chain.
    Node(NodeArgs),
    /// Run a Bitcoin node with the flags, files and words of `bitcoind`; see `chainwright bitcoind -help`.
    #[command(disable_help_flag = true)]
    Bitcoind {
        /// Flags such as `-regtest -datadir=DIR`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        flags: Vec<String>,
    },
    /// Show a block, a transaction, an address or the chain, as a running node tells it.
    #[command(subcommand)]
    Show(ShowCommand),
    /// Work with chain files.
    #[command(subcommand)]
    Spec(SpecCommand),
    /// Read blocks from files into a data directory, checking everything a node checks.
    Import(ImportArgs),
    /// Write the blocks of a data directory to a file.
    Export(ExportArgs),
    /// Carry the state of a chain at one block to another node, which checks it and goes on from there.
    #[command(subcommand)]
    Snapshot(SnapshotCommand),
    /// Make keys and addresses.
    #[command(subcommand)]
    Key(KeyCommand),
    /// Pay from a wallet file: signs here and broadcasts; on development chains of Ethereum's ledger the node can sign.
    Pay(PayArgs),
}

#[derive(Debug, Args)]
pub(crate) struct DevArgs {
    /// A preset's name or a chain file.
    #[arg(long, default_value = "bitcoin-regtest", value_name = "NAME|FILE")]
    pub(crate) chain: String,
    /// Where the network lives (default: `./chainwright-data/<chain>`).
    #[arg(long, value_name = "DIR")]
    pub(crate) datadir: Option<PathBuf>,
    /// How many nodes, connected to each other [default: the chain file's, or 3].
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=16))]
    pub(crate) nodes: Option<u8>,
    /// Time between blocks, such as `500ms`, `2s` or `1m` [default: the chain file's].
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) block_time: Option<std::time::Duration>,
    /// RPC port of the first node; the others follow [default: the chain's, or free ones if taken].
    #[arg(long, value_name = "PORT")]
    pub(crate) rpc_port: Option<u16>,
    #[command(flatten)]
    pub(crate) past: PastArgs,
}

/// How much of the past a node of an Ethereum chain answers for.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct PastArgs {
    /// Indexes that are kept (Ethereum's chains): `tx` finds transactions, `logs` finds logs; a list, or `none`
    /// [default: tx,logs].
    #[arg(long, value_name = "LIST", value_parser = parse_indexes)]
    index: Option<(bool, bool)>,
    /// States that can be read (Ethereum's chains): `archive` for all, or how many blocks below the newest [default: 1024].
    #[arg(long, value_name = "archive|BLOCKS", value_parser = parse_history)]
    history: Option<States>,
}

impl PastArgs {
    /// What the operator says, if anything.
    pub(crate) fn past(self) -> Option<Past> {
        if self.index.is_none() && self.history.is_none() {
            return None;
        }
        let usual = Past::default();
        let (transactions, logs) = self.index.unwrap_or((usual.transactions, usual.logs));
        Some(Past { transactions, logs, states: self.history.unwrap_or(usual.states) })
    }
}

/// What a call that changes nothing may cost.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct CallArgs {
    /// Most gas of a call that RPC executes (Ethereum's chains), 0 for any; gas bounds its memory, too [default: 50000000].
    #[arg(long, value_name = "GAS")]
    rpc_gas_cap: Option<u64>,
    /// Longest time of such a call [default: 5s].
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    rpc_evm_timeout: Option<std::time::Duration>,
}

impl CallArgs {
    /// What the operator says, if anything.
    pub(crate) fn limits(self) -> Option<CallLimits> {
        if self.rpc_gas_cap.is_none() && self.rpc_evm_timeout.is_none() {
            return None;
        }
        let usual = CallLimits::default();
        let (gas, time) = (self.rpc_gas_cap.unwrap_or(usual.gas), self.rpc_evm_timeout.unwrap_or(usual.time));
        Some(CallLimits { gas, time, ..usual })
    }
}

#[derive(Debug, Args)]
pub(crate) struct NodeArgs {
    /// A preset's name or a chain file.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) chain: String,
    /// Where the node's files live (default: `./chainwright-data/<chain>/node`).
    #[arg(long, value_name = "DIR")]
    pub(crate) datadir: Option<PathBuf>,
    /// Listen for peers here [default: 127.0.0.1 and the chain's port].
    #[arg(long, value_name = "IP:PORT", conflicts_with = "no_listen")]
    pub(crate) listen: Vec<SocketAddr>,
    /// Do not listen for peers.
    #[arg(long)]
    pub(crate) no_listen: bool,
    /// Connect to these nodes and to nobody else.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) connect: Vec<String>,
    /// Connect to these nodes too.
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) add_node: Vec<String>,
    /// At most this many peers.
    #[arg(long, default_value_t = 125)]
    pub(crate) max_connections: usize,
    /// Where the RPC server listens.
    #[arg(long, default_value = "127.0.0.1", value_name = "IP")]
    pub(crate) rpc_bind: std::net::IpAddr,
    /// Port of the RPC server [default: the chain's].
    #[arg(long, value_name = "PORT")]
    pub(crate) rpc_port: Option<u16>,
    /// Web pages of this origin may read what RPC answers and open WebSockets, such as `http://localhost:3000`; `*` for all.
    #[arg(long, value_name = "ORIGIN")]
    pub(crate) rpc_cors: Vec<String>,
    /// Further names of this machine by which it may be asked without a login, where the chain's RPC needs none.
    #[arg(long, value_name = "NAME")]
    pub(crate) rpc_host: Vec<String>,
    /// Ask everybody for a login, also where the chain's RPC needs none on this machine.
    #[arg(long)]
    pub(crate) rpc_login: bool,
    /// Threads for checking [default: one per core].
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// Take the scripts of this block and all before it as checked: an id, `all` or `none` [default: the chain file's].
    #[arg(long, value_name = "ID|all|none")]
    pub(crate) assumevalid: Option<String>,
    /// Mine to this address (proof of work), or seal for it (solo).
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) mine: Option<String>,
    /// The secret key that seals the blocks of a solo chain: a file with 64 hexadecimal digits.
    #[arg(long, value_name = "FILE")]
    pub(crate) sealing_key: Option<PathBuf>,
    /// Time between blocks this node makes, such as `2s` [default: as fast as work is found, or when a transaction
    /// waits for the seal].
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) block_time: Option<std::time::Duration>,
    /// Memory for rows that are not on disk yet, in MiB [default: 128].
    #[arg(long, value_name = "MIB", value_parser = parse_cache)]
    pub(crate) cache_mib: Option<usize>,
    #[command(flatten)]
    pub(crate) past: PastArgs,
    #[command(flatten)]
    pub(crate) calls: CallArgs,
    /// Print the log to standard output as well.
    #[arg(long)]
    pub(crate) print_log: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ShowCommand {
    /// A block by id or height, or `tip`.
    Block {
        /// Id, height or `tip`.
        #[arg(default_value = "tip")]
        block: String,
        #[command(flatten)]
        rpc: RpcArgs,
    },
    /// A transaction by id; `--block` finds one outside of the pool.
    Tx {
        /// Its id.
        id: String,
        /// The block it is in.
        #[arg(long, value_name = "ID|HEIGHT")]
        block: Option<String>,
        #[command(flatten)]
        rpc: RpcArgs,
    },
    /// What an address owns: by reading the chain block by block, or (Ethereum) as the state has it.
    #[command(alias = "account")]
    Address {
        /// The address.
        address: String,
        #[command(flatten)]
        rpc: RpcArgs,
    },
    /// The chain and the node.
    Chain {
        #[command(flatten)]
        rpc: RpcArgs,
    },
}

/// Which node to ask.
#[derive(Clone, Debug, Args)]
pub(crate) struct RpcArgs {
    /// The node's RPC server [default: the first running one under ./chainwright-data].
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) rpc: Option<String>,
    /// The node's cookie file [default: found under ./chainwright-data].
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    pub(crate) cookie: Option<PathBuf>,
    /// User and password instead of a cookie.
    #[arg(long, value_name = "NAME:PASSWORD", env = "CHAINWRIGHT_RPC_USER", hide_env_values = true)]
    pub(crate) user: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SpecCommand {
    /// Say whether a chain file makes sense, and what it describes.
    Check {
        /// A preset's name or a chain file.
        chain: String,
    },
    /// List the chains that are built in.
    List,
    /// Print the file of a built-in chain, to start one's own from.
    Print {
        /// Its name.
        chain: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// Files of blocks: framed by magic and length, or RLP back to back for Ethereum's chains; `.bz2` is read as it is; `-` is
    /// standard input.
    #[arg(required = true, value_name = "FILE")]
    pub(crate) files: Vec<PathBuf>,
    /// A preset's name or a chain file.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) chain: String,
    /// The node's data directory (default: `./chainwright-data/<chain>/node`).
    #[arg(long, value_name = "DIR")]
    pub(crate) datadir: Option<PathBuf>,
    /// Take the scripts of this block and all before it as checked: an id, `all` or `none` [default: the chain file's].
    #[arg(long, value_name = "ID|all|none")]
    pub(crate) assumevalid: Option<String>,
    /// Threads for checking [default: one per core].
    #[arg(long)]
    pub(crate) threads: Option<usize>,
    /// The secret key that seals the blocks of a solo chain whose file names none [default: `sealing.key` beside the data
    /// directory, where `dev` keeps it].
    #[arg(long, value_name = "FILE")]
    pub(crate) sealing_key: Option<PathBuf>,
    /// Memory for rows that are not on disk yet, in MiB [default: 128].
    #[arg(long, value_name = "MIB", value_parser = parse_cache)]
    pub(crate) cache_mib: Option<usize>,
    /// The block the chain shall stand at (consensus `external` only) [default: the last one, or the heaviest].
    #[arg(long, value_name = "HASH")]
    pub(crate) head: Option<String>,
    /// The block that is safe from then on (consensus `external` only).
    #[arg(long, value_name = "HASH")]
    pub(crate) safe: Option<String>,
    /// The block that is final from then on (consensus `external` only).
    #[arg(long, value_name = "HASH")]
    pub(crate) finalized: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ExportArgs {
    /// Where to write; `-` is standard output.
    pub(crate) file: PathBuf,
    /// A preset's name or a chain file.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) chain: String,
    /// The node's data directory (default: `./chainwright-data/<chain>/node`).
    #[arg(long, value_name = "DIR")]
    pub(crate) datadir: Option<PathBuf>,
    /// The first height.
    #[arg(long, default_value_t = 1)]
    pub(crate) from: u32,
    /// The secret key that seals the blocks of a solo chain whose file names none [default: `sealing.key` beside the data
    /// directory, where `dev` keeps it].
    #[arg(long, value_name = "FILE")]
    pub(crate) sealing_key: Option<PathBuf>,
    /// The last height [default: the tip].
    #[arg(long)]
    pub(crate) to: Option<u32>,
}

/// A chain and its data, for commands that need no running node.
#[derive(Debug, Args)]
pub(crate) struct OfflineArgs {
    /// A preset's name or a chain file.
    #[arg(long, value_name = "NAME|FILE")]
    pub(crate) chain: String,
    /// The node's data directory (default: `./chainwright-data/<chain>/node`).
    #[arg(long, value_name = "DIR")]
    pub(crate) datadir: Option<PathBuf>,
    /// The secret key that seals the blocks of a solo chain whose file names none [default: `sealing.key` beside the data
    /// directory, where `dev` keeps it].
    #[arg(long, value_name = "FILE")]
    pub(crate) sealing_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum SnapshotCommand {
    /// Write the state after one block to a file, with all headers up to it.
    Export {
        /// Where to write; it must not exist.
        file: PathBuf,
        #[command(flatten)]
        from: OfflineArgs,
        /// The block, by height or hash [default: the final one, else one 128 blocks below the head].
        #[arg(long, value_name = "HEIGHT|HASH")]
        at: Option<String>,
    },
    /// Begin a node's data with the state in a file: headers and the root of the state are checked, blocks below are not there.
    Import {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        to: OfflineArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a new wallet: a file with secret descriptors that only you can read.
    New {
        /// A preset's name or a chain file.
        #[arg(long, default_value = "bitcoin-regtest", value_name = "NAME|FILE")]
        chain: String,
        /// Where to write the wallet; it must not exist.
        #[arg(long, value_name = "FILE", required_unless_present = "show_secret")]
        out: Option<PathBuf>,
        /// Print the secrets to standard output.
        #[arg(long)]
        show_secret: bool,
    },
    /// Print the public key of a sealing key, as `solo.key` of a chain file wants it.
    Seal {
        /// A file with 64 hexadecimal digits, such as `sealing.key` of `chainwright dev`.
        file: PathBuf,
        /// Make the key first: the file must not exist, and only you can read it.
        #[arg(long)]
        new: bool,
    },
    /// Print an address of a wallet, or the one of an Ethereum account.
    Address {
        /// The wallet file.
        #[arg(long, value_name = "FILE")]
        wallet: PathBuf,
        /// Which address, counted from 0.
        #[arg(long, default_value_t = 0)]
        index: u32,
    },
}

#[derive(Debug, Args)]
pub(crate) struct PayArgs {
    /// Whom to pay.
    pub(crate) address: String,
    /// How much, in coins or ether, such as `0.5`.
    pub(crate) amount: String,
    /// The wallet file, or a file with 64 hexadecimal digits: the key of an Ethereum account [default: the one `chainwright dev`
    /// made, or the first account the node signs for].
    #[arg(long, value_name = "FILE")]
    pub(crate) wallet: Option<PathBuf>,
    /// Fee rate in satoshi per virtual byte.
    #[arg(long, default_value_t = 2)]
    pub(crate) fee_rate: u64,
    #[command(flatten)]
    pub(crate) rpc: RpcArgs,
}

/// A duration as people write it: `500ms`, `2s`, `1m`, or seconds without a unit.
pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, String> {
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let factor = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        _ => return Err(format!("`{unit}` is no unit of time; use ms, s or m")),
    };
    let number: f64 =
        number.trim().parse().map_err(|_| format!("`{text}` is no time; write 500ms, 2s or 1m"))?;
    let seconds = number * factor;
    if !(0.01..=86_400.0).contains(&seconds) {
        return Err("the time must lie between 10ms and a day".to_owned());
    }
    Ok(std::time::Duration::from_secs_f64(seconds))
}

/// Whether transactions and whether logs are indexed: `tx`, `logs`, both with a comma, or `none`.
fn parse_indexes(text: &str) -> Result<(bool, bool), String> {
    if text == "none" {
        return Ok((false, false));
    }
    let mut kept = (false, false);
    for name in text.split(',') {
        match name.trim() {
            "tx" => kept.0 = true,
            "logs" => kept.1 = true,
            other => return Err(format!("`{other}` is no index; there are tx and logs, or none")),
        }
    }
    Ok(kept)
}

/// Which states are kept.
fn parse_history(text: &str) -> Result<States, String> {
    match text {
        "archive" => Ok(States::All),
        blocks => {
            let wrong = |_| format!("`{blocks}` is no number of blocks; write one, or archive");
            blocks.parse().map(States::Last).map_err(wrong)
        }
    }
}

/// Bytes of a number of MiB, which may have decimals.
pub(crate) fn parse_cache(text: &str) -> Result<usize, String> {
    let mib: f64 = text.parse().map_err(|_| format!("`{text}` is no number of MiB"))?;
    if !(0.01..=1_048_576.0).contains(&mib) {
        return Err("the cache must have between 0.01 and 1048576 MiB".to_owned());
    }
    Ok((mib * 1_048_576.0) as usize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn the_past_is_asked_for_by_name() {
        let kept = |text| parse_indexes(text).ok();
        assert_eq!(kept("none"), Some((false, false)));
        assert_eq!(kept("tx,logs"), Some((true, true)));
        assert_eq!((kept("logs"), kept("tx")), (Some((false, true)), Some((true, false))));
        assert_eq!((kept(""), kept("tx,none"), kept("blocks")), (None, None, None));
        assert_eq!(parse_history("archive"), Ok(States::All));
        assert_eq!(parse_history("90000"), Ok(States::Last(90_000)));
        assert!(parse_history("-1").is_err() && parse_history("all").is_err());
    }

    #[test]
    fn caches_have_a_size() {
        assert_eq!(parse_cache("450"), Ok(450 << 20));
        assert_eq!(parse_cache("0.0625"), Ok(64 << 10));
        for text in ["", "0", "-1", "NaN", "inf", "1e9", "4GB"] {
            assert!(parse_cache(text).is_err(), "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        let millis = |text| parse_duration(text).map(|duration| duration.as_millis());
        assert_eq!(millis("500ms"), Ok(500));
        assert_eq!(millis("2s"), Ok(2000));
        assert_eq!(millis("1.5"), Ok(1500));
        assert_eq!(millis("1m"), Ok(60_000));
        for text in ["", "s", "2h", "-1s", "0", "NaN", "inf"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }
}
