//! What the chain is: `getblockchaininfo`, `getblock…`, `getchaintips`, `getdifficulty`, `getdeploymentinfo`.

use chainwright_chain::{BlockInfo, Headers, Status};
use chainwright_utxo::Utxo;
use chainwright_utxo::hash::BlockHash;
use chainwright_utxo::params::{Clock, Deployment, DeploymentState};
use chainwright_utxo::script::Flags;
use hex_conservative::DisplayHex as _;
use serde_json::{Value, json};

use crate::encode::{Object, difficulty, hex32, put, target};
use crate::number::double;
use crate::{BitcoinNode, Entry, at_height, hash_param, show_block, verbosity_param};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};

pub(crate) const METHODS: &[Entry] = &[
    Entry {
        category: "blockchain",
        name: "getblockchaininfo",
        parameters: &[],
        description: "Returns an object containing various state info regarding blockchain processing.\n",
        run: |node, _| node.chain_info(),
    },
    Entry {
        category: "blockchain",
        name: "getblockcount",
        parameters: &[],
        description: "Returns the height of the most-work fully-validated chain.\nThe genesis block has height 0.\n",
        run: |node, _| Ok(node.tip().height().0.into()),
    },
    Entry {
        category: "blockchain",
        name: "getbestblockhash",
        parameters: &[],
        description: "Returns the hash of the best (tip) block in the most-work fully-validated chain.\n",
        run: |node, _| Ok(show_block(&node.tip()).into()),
    },
    Entry {
        category: "blockchain",
        name: "getblockhash",
        parameters: &[Parameter::required("height", Kind::Number, "The height index")],
        description: "Returns hash of block in best-block-chain at height provided.\n",
        run: block_hash,
    },
    Entry {
        category: "blockchain",
        name: "getblockheader",
        parameters: &[
            Parameter::required("blockhash", Kind::Hex, "The block hash"),
            Parameter::optional(
                "verbose",
                Kind::Bool,
                "true",
                "true for a json object, false for the hex-encoded data",
            ),
        ],
        description: "If verbose is false, returns a string that is serialized, hex-encoded data for blockheader 'hash'.\n\
                      If verbose is true, returns an Object with information about blockheader <hash>.\n",
        run: block_header,
    },
    Entry {
        category: "blockchain",
        name: "getblock",
        parameters: &[
            Parameter::required("blockhash", Kind::Hex, "The block hash"),
            Parameter::optional(
                "verbosity|verbose",
                Kind::NumberLike,
                "1",
                "0 for hex-encoded data, 1 for a JSON object, 2 for JSON object with transaction data, and 3 for JSON object with transaction data including prevout information for inputs",
            ),
        ],
        description: "If verbosity is 0, returns a string that is serialized, hex-encoded data for block 'hash'.\n\
                      If verbosity is 1, returns an Object with information about block <hash>.\n\
                      If verbosity is 2, returns an Object with information about block <hash> and information about each transaction.\n\
                      If verbosity is 3, returns an Object with information about block <hash> and information about each transaction, including prevout information for inputs (only for unpruned blocks in the current best chain).\n",
        run: block,
    },
    Entry {
        category: "blockchain",
        name: "getchaintips",
        parameters: &[],
        description: "Return information about all known tips in the block tree, including the main chain as well as orphaned branches.\n",
        run: |node, _| Ok(node.chain_tips()),
    },
    Entry {
        category: "blockchain",
        name: "getdifficulty",
        parameters: &[],
        description: "Returns the proof-of-work difficulty as a multiple of the minimum difficulty.\n",
        run: |node, _| Ok(double(difficulty(node.tip().header().bits))),
    },
    Entry {
        category: "blockchain",
        name: "getdeploymentinfo",
        parameters: &[Parameter::optional(
            "blockhash",
            Kind::Hex,
            "\"hash of current chain tip\"",
            "The block hash at which to query deployment state",
        )],
        description: "Returns an object containing various state info regarding deployments of consensus changes.\n\
                      Consensus changes for which the new rules are enforced from genesis are not listed in \"deployments\".",
        run: deployment_info,
    },
];

/// Bitcoin Core's start times of deployments that no vote decides.
const ALWAYS_ACTIVE: i64 = -1;

impl BitcoinNode {
    fn chain_info(&self) -> Answer {
        let tip = self.tip();
        let header = tip.header();
        let height = tip.height().0;
        // Where blocks weigh nothing, no header is ever the heaviest.
        let best = self.published().best_header().height().0.max(height);
        let progress = if best <= height { 1.0 } else { f64::from(height) / f64::from(best) };
        let size = self.host.size_on_disk_bytes().map_err(|error| RpcError::misc(error.to_string()))?;
        let mut object = Object::new();
        put(
            &mut object,
            [
                ("chain", self.parameters().rpc_name.as_str().into()),
                ("blocks", height.into()),
                ("headers", best.into()),
                ("bestblockhash", show_block(&tip).into()),
                ("bits", hex32(header.bits).into()),
                ("target", target(header.bits).into()),
                ("difficulty", double(difficulty(header.bits))),
                ("time", header.time.into()),
                ("mediantime", tip.median_time().0.into()),
                ("verificationprogress", double(progress)),
                ("initialblockdownload", self.is_initial_download().into()),
                ("chainwork", format!("{:064x}", tip.weight().0).into()),
                ("size_on_disk", size.into()),
                ("pruned", false.into()),
            ],
        );
        if let Some(challenge) = &self.parameters().signet_challenge {
            put(&mut object, [("signet_challenge", challenge.to_lower_hex_string().into())]);
        }
        put(&mut object, [("warnings", self.host.warnings().into())]);
        Ok(object.into())
    }

    /// All tips, the highest first (Bitcoin Core `CompareBlocksByHeight`).
    fn chain_tips(&self) -> Value {
        let head = self.tip();
        let mut tips = self.published().tips();
        tips.retain(|tip| !head.contains(&tip.headers));
        tips.push(BlockInfo { headers: head.clone(), status: Status::Valid });
        tips.sort_by_key(|tip| std::cmp::Reverse((tip.headers.height(), head.contains(&tip.headers))));
        let shown = tips.iter().map(|tip| {
            let fork = head.fork_point(&tip.headers);
            json!({
                "height": tip.headers.height().0,
                "hash": show_block(&tip.headers),
                "branchlen": tip.headers.height().above(fork.height()),
                "status": tip_status(tip, &head),
            })
        });
        shown.collect()
    }

    fn deployments(&self, block: &Headers<Utxo>) -> Value {
        let buried = &self.parameters().buried;
        let mut object = Object::new();
        for (name, since) in [
            ("bip34", buried.bip34),
            ("bip66", buried.bip66),
            ("bip65", buried.bip65),
            ("csv", buried.csv),
            ("segwit", buried.segwit),
        ] {
            let is_active = block.height().0 + 1 >= since;
            let shown = json!({ "type": "buried", "active": is_active, "height": since });
            put(&mut object, [(name, shown)]);
        }
        for deployment in &self.parameters().deployments {
            if deployment.clock != Clock::Never {
                put(&mut object, [(&deployment.name, self.vote(deployment, block))]);
            }
        }
        object.into()
    }

    /// A vote with version bits (Bitcoin Core `SoftForkDescPushBack`).
    fn vote(&self, deployment: &Deployment, block: &Headers<Utxo>) -> Value {
        let info = self.ledger().deployments.signalling(deployment, block);
        let mut vote = Object::new();
        if info.statistics.is_some() {
            put(&mut vote, [("bit", deployment.bit.into())]);
        }
        let (start, timeout) = vote_span(deployment.clock);
        put(
            &mut vote,
            [
                ("start_time", start.into()),
                ("timeout", timeout.into()),
                ("min_activation_height", deployment.activation_height_min.into()),
                ("status", info.state.name().into()),
                ("since", info.since.into()),
                ("status_next", info.next.name().into()),
            ],
        );
        if let Some(statistics) = &info.statistics {
            let mut count = Object::new();
            let (elapsed, signalled) = (statistics.elapsed, statistics.count);
            put(
                &mut count,
                [
                    ("period", deployment.period.into()),
                    ("elapsed", elapsed.into()),
                    ("count", signalled.into()),
                ],
            );
            if info.state == DeploymentState::Started {
                let possible = statistics.possible.into();
                put(&mut count, [("threshold", deployment.threshold.into()), ("possible", possible)]);
            }
            let signs = statistics.blocks.iter().map(|signalled| if *signalled { '#' } else { '-' });
            let signalling: String = signs.collect();
            put(&mut vote, [("statistics", count.into()), ("signalling", signalling.into())]);
        }
        let active_since = match (info.state, info.next) {
            (DeploymentState::Active, _) => Some(info.since),
            (_, DeploymentState::Active) => Some(block.height().0 + 1),
            _ => None,
        };
        let mut object = Object::new();
        put(&mut object, [("type", "bip9".into())]);
        if let Some(since) = active_since {
            put(&mut object, [("height", since.into())]);
        }
        let is_active = active_since.is_some_and(|since| since <= block.height().0 + 1);
        put(&mut object, [("active", is_active.into()), ("bip9", vote.into())]);
        object.into()
    }
}

fn vote_span(clock: Clock) -> (i64, i64) {
    let time = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    match clock {
        Clock::Always | Clock::Never => (ALWAYS_ACTIVE, i64::MAX),
        Clock::Time { start, timeout } => (time(start), time(timeout)),
        Clock::Height { start, timeout } => (start.into(), timeout.into()),
    }
}

fn tip_status(tip: &BlockInfo<Utxo>, head: &Headers<Utxo>) -> &'static str {
    match &tip.status {
        _ if head.contains(&tip.headers) => "active",
        Status::Invalid(_) => "invalid",
        Status::Header => "headers-only",
        Status::Stored => "valid-headers",
        Status::Executed | Status::Valid => "valid-fork",
    }
}

fn block_hash(node: &BitcoinNode, call: &Call) -> Answer {
    let height: i32 = call.integer(0)?.unwrap_or(0);
    let block = at_height(&node.tip(), i64::from(height));
    let block = block.ok_or_else(|| RpcError::parameter("Block height out of range"))?;
    Ok(show_block(&block).into())
}

fn block_header(node: &BitcoinNode, call: &Call) -> Answer {
    let block = node.block(hash_param(call, 0, "hash")?)?;
    if call.flag(1)? == Some(false) {
        return Ok(block.header().encode().to_lower_hex_string().into());
    }
    let body = node.published().read_block(&block.id())?;
    let transactions = body.map_or(0, |body| body.transactions.len());
    Ok(BitcoinNode::header_json(&node.tip(), &block, transactions).into())
}

fn block(node: &BitcoinNode, call: &Call) -> Answer {
    let headers = node.block(hash_param(call, 0, "blockhash")?)?;
    let verbosity = verbosity_param(call, 1, 1)?;
    let body = node.body(&headers)?;
    if verbosity <= 0 {
        return Ok(body.encode().to_lower_hex_string().into());
    }
    node.block_json(&headers, &body, verbosity)
}

fn deployment_info(node: &BitcoinNode, call: &Call) -> Answer {
    let block = match call.text(0) {
        Some(_) => node.block(hash_param(call, 0, "blockhash")?)?,
        None => node.tip(),
    };
    let flags = node.parameters().script_flags(block.height().0, &BlockHash(block.id().0));
    let mut names: Vec<_> =
        Flags::NAMED.iter().filter(|(_, flag)| flags.contains(*flag)).map(|(name, _)| *name).collect();
    names.sort_unstable();
    Ok(json!({
        "hash": show_block(&block),
        "height": block.height().0,
        "script_flags": names,
        "deployments": node.deployments(&block),
    }))
}
