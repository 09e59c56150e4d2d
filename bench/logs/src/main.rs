//! Measures the search for logs and the indexes: `cargo run --release -p chainwright-bench-logs -- [BLOCKS] [LOGS]`.
//!
//! Makes a chain of BLOCKS blocks (100,000 unless told) with LOGS logs each (5): transfers of 50 tokens among 20,000 holders, in
//! memory, through the real driver. Then has the indexes built from nothing, in a temporary folder: processor time and bytes a block.
//! Then asks `eth_getLogs` over all blocks, by the index and by headers' filters alone, and compares the answers. Times are the
//! median of five; JSON is made, and not sent.

#![allow(clippy::print_stdout, reason = "a benchmark prints what it measured")]

mod chain;

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use alloy_primitives::{B256, U256};
use chainwright_rpc::testing::TestHost;
use chainwright_rpc::{Call, Dialect as _, Method};
use chainwright_rpc_ethereum::{CallLimits, EthereumDialect, Past, States};
use serde_json::{Value, json};

use chain::{Chain, HOLDERS, TOKENS, TRANSFER, holder, token};

/// How often each question is asked.
const RUNS: usize = 5;

type Outcome<T> = Result<T, Box<dyn Error>>;

/// Ethereum's methods over the chain.
struct Node(BTreeMap<&'static str, Method>);

impl Node {
    fn new(chain: &Chain, past: Option<(&Path, Past)>) -> Self {
        let host = TestHost { data: past.map(|(folder, _)| folder.to_path_buf()), ..TestHost::default() };
        let (handle, host) = (chain.handle.clone(), Arc::new(host));
        let dialect = match past {
            Some((_, past)) => EthereumDialect::with_past(handle, host, past, CallLimits::default()),
            None => EthereumDialect::new(handle, host),
        };
        Self(dialect.methods().into_iter().map(|method| (method.name, method)).collect())
    }

    fn ask(&self, name: &str, params: Value) -> Outcome<Value> {
        let method = &self.0[name];
        let answer = method.arguments(params).and_then(|params| (method.handler)(&Call::new(params)));
        answer.map_err(|error| error.message.into())
    }
}

/// Processor time of this process, all threads together.
fn processor() -> Outcome<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_millis(ticks * 10))
}

fn folder_bytes(folder: &Path, counts: &dyn Fn(&Path) -> bool) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        bytes += match path.is_dir() {
            true => folder_bytes(&path, counts)?,
            false if counts(&path) => path.metadata()?.len(),
            false => 0,
        };
    }
    Ok(bytes)
}

/// Has indexes built, and says what that took.
fn build(chain: &Chain, folder: &Path, (name, past): (&str, Past), blocks: u32) -> Outcome<Node> {
    let (began, cpu) = (Instant::now(), processor()?);
    let node = Node::new(chain, Some((folder, past)));
    // What is never found is told once the index has all but the newest blocks; older states likewise.
    let is_indexed = || node.ask("eth_getTransactionReceipt", json!([B256::ZERO])).is_ok();
    let has_states =
        || past.states != States::All || node.ask("eth_getBalance", json!([holder(0), "0x1"])).is_ok();
    while !is_indexed() || !has_states() {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (wall, cpu) = (began.elapsed(), processor()?.saturating_sub(cpu));
    let tables = folder_bytes(folder, &|path| path.extension().is_none_or(|kind| kind != "jnl"))?;
    println!(
        "{name:<22} built in {:.1} s, {:.1} µs of processor and {} bytes a block (plus what waits in the log)",
        wall.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / f64::from(blocks),
        tables / u64::from(blocks)
    );
    Ok(node)
}

/// The median time of one question, and the answer.
fn time(node: &Node, filter: &Value) -> Outcome<(Duration, Value)> {
    let mut times = Vec::new();
    let mut answer = Value::Null;
    for _ in 0..RUNS {
        let began = Instant::now();
        answer = node.ask("eth_getLogs", json!([filter]))?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok((times[RUNS / 2], answer))
}

fn main() -> Outcome<()> {
    let mut numbers = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let blocks = numbers.next().transpose()?.unwrap_or(100_000);
    let logs = numbers.next().transpose()?.unwrap_or(5);
    let began = Instant::now();
    let chain = Chain::make(blocks, logs);
    println!("{blocks} blocks of {logs} logs made in {:.1} s", began.elapsed().as_secs_f64());
    let folder = tempfile::tempdir()?;
    let usual = Past { transactions: true, logs: true, states: States::Last(1_024) };
    let indexed = build(&chain, &folder.path().join("usual"), ("transactions, logs", usual), blocks)?;
    let archive = Past { states: States::All, ..usual };
    drop(build(&chain, &folder.path().join("archive"), ("and all states", archive), blocks)?);

    let scanned = Node::new(&chain, None);
    let topic = |number: u64| json!(B256::from(U256::from(number)));
    let someone = HOLDERS / 2;
    let questions = [
        ("one holder", json!({ "topics": [null, topic(someone)] })),
        ("one holder, one token", json!({ "address": token(3), "topics": [null, topic(someone)] })),
        ("three holders", json!({ "topics": [topic(TRANSFER), [topic(1), topic(2), topic(3)]] })),
        ("nobody", json!({ "topics": [null, topic(HOLDERS + 7)] })),
        ("one token", json!({ "address": token(TOKENS - 1) })),
    ];
    for (name, mut filter) in questions {
        filter["fromBlock"] = json!("0x0");
        let (by_index, answer) = time(&indexed, &filter)?;
        let (by_scan, expected) = time(&scanned, &filter)?;
        assert_eq!(answer, expected, "both must say the same");
        let count = answer.as_array().map_or(0, Vec::len);
        println!("{name:<22} {count:>6} logs   by index {by_index:>10.1?}   by headers {by_scan:>10.1?}");
    }
    Ok(())
}
