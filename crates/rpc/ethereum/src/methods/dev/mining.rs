//! When blocks are made.

use std::time::Duration;

use chainwright_chain::{Height, Timestamp};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use chainwright_solo::{Batch, Sealing};
use serde_json::{Value, json};

use super::time::check_later;
use super::{ON, SECONDS, method, number_of, number64, required_number64, short};
use crate::chain::server_error;
use crate::development::of;
use crate::dialect::{Context, Entry};
use crate::{input, shape};

/// Blocks one call may ask for.
const BLOCKS_MAX: u64 = 100_000;

const COUNT: Parameter = Parameter::optional("blocks", Kind::Any, "1", "How many blocks");
const INTERVAL: Parameter =
    Parameter::optional("interval", Kind::Any, "as the clock says", "Seconds between two");
const OPTIONS: Parameter =
    Parameter::optional("options", Kind::Any, "one block now", "A timestamp, or {timestamp, blocks}");

pub(crate) const METHODS: &[Entry] = &[
    method("evm_mine", &[OPTIONS], "Makes a block, or several.", |context, call| {
        mine_with_options(context, call)?;
        Ok(json!("0x0"))
    }),
    method("evm_mine_detailed", &[OPTIONS], "Makes a block, or several, and shows them.", mine_and_show),
    method("anvil_mine", &[COUNT, INTERVAL], "Makes blocks; time jumps before each.", mine_jumping),
    method("hardhat_mine", &[COUNT, INTERVAL], "Makes blocks; time jumps between them.", mine_apart),
    method("evm_setAutomine", &[ON], "A block as soon as a transaction waits, or not.", set_automine),
    method("anvil_setAutomine", &[ON], "A block as soon as a transaction waits, or not.", set_automine),
    method("anvil_getAutomine", &[], "Whether a block is made as soon as a transaction waits.", automine),
    method("hardhat_getAutomine", &[], "Whether a block is made as soon as a transaction waits.", automine),
    method("evm_setIntervalMining", &[SECONDS], "A block every so many seconds; 0 for none.", set_interval),
    method("anvil_setIntervalMining", &[SECONDS], "A block every so many seconds; 0 for none.", set_interval),
    method(
        "anvil_getIntervalMining",
        &[],
        "Seconds between two blocks, if they come at intervals.",
        interval,
    ),
];

fn mine(context: &Context, batch: Batch) -> Result<(), RpcError> {
    if batch.count > BLOCKS_MAX {
        let hint = "call again for more";
        return Err(input::invalid(
            0,
            format!("{} blocks, at most {BLOCKS_MAX} (hint: {hint})", batch.count),
        ));
    }
    let development = of(context)?;
    development.controls()?;
    let sealed = development.solo().seal_batch(batch).wait();
    sealed.map(drop).map_err(|error| server_error(format!("no block can be made: {error}")))
}

fn mine_jumping(context: &Context, call: &Call) -> Answer {
    let (count, interval) = (number64(call, 0)?.unwrap_or(1), number64(call, 1)?);
    let development = of(context)?;
    if count > 0 && count <= BLOCKS_MAX {
        let seconds =
            i64::try_from(interval.unwrap_or(0)).map_err(|_| input::invalid(1, "too many seconds"))?;
        development.control(|controls| {
            controls.time.offset_seconds = controls.time.offset_seconds.saturating_add(seconds);
        })?;
    }
    mine(context, Batch { count, first: None, step_seconds: interval.filter(|interval| *interval > 0) })?;
    Ok(Value::Null)
}

fn mine_apart(context: &Context, call: &Call) -> Answer {
    let (count, interval) = (number64(call, 0)?.unwrap_or(1), number64(call, 1)?.unwrap_or(1));
    mine(context, Batch { count, first: None, step_seconds: Some(interval) })?;
    Ok(json!(true))
}

/// How many blocks were made.
fn mine_with_options(context: &Context, call: &Call) -> Result<u64, RpcError> {
    let (timestamp, blocks) = match call.param(0) {
        Value::Object(options) => {
            let field = |name: &str| number_of(0, options.get(name).unwrap_or(&Value::Null));
            (field("timestamp")?, field("blocks")?)
        }
        alone => (number_of(0, alone)?, None),
    };
    let count = blocks.map_or(Ok(1), |blocks| short(0, blocks))?;
    let first = timestamp.map(|timestamp| short(0, timestamp)).transpose()?.map(Timestamp);
    if let Some(first) = first {
        check_later(context, first)?;
    }
    mine(context, Batch { count, first, step_seconds: None })?;
    Ok(count)
}

fn mine_and_show(context: &Context, call: &Call) -> Answer {
    let count = u32::try_from(mine_with_options(context, call)?).unwrap_or(u32::MAX);
    let head = context.chain.published().head().headers;
    let from = Height(head.height().0.saturating_sub(count) + u32::from(count > 0));
    let blocks = (from.0..=head.height().0).filter_map(|height| head.ancestor(Height(height)));
    let shown = blocks.take(count as usize).map(|block| shape::block(&context.chain.body(&block)?, true));
    shown.collect::<Result<Vec<_>, _>>().map(Value::Array)
}

fn set_automine(context: &Context, call: &Call) -> Answer {
    let on = input::required(call, 0)?;
    of(context)?.control(|controls| {
        if on {
            controls.sealing = Sealing::OnTransaction;
        } else if controls.sealing == Sealing::OnTransaction {
            controls.sealing = Sealing::OnRequest;
        }
    })?;
    Ok(Value::Null)
}

fn automine(context: &Context, _: &Call) -> Answer {
    Ok(json!(of(context)?.controls()?.sealing == Sealing::OnTransaction))
}

fn set_interval(context: &Context, call: &Call) -> Answer {
    let seconds = required_number64(call, 0)?;
    of(context)?.control(|controls| {
        controls.sealing = match seconds {
            0 => Sealing::OnRequest,
            seconds => Sealing::Interval(Duration::from_secs(seconds)),
        };
    })?;
    Ok(Value::Null)
}

fn interval(context: &Context, _: &Call) -> Answer {
    match of(context)?.controls()?.sealing {
        Sealing::Interval(interval) => Ok(json!(interval.as_secs())),
        _ => Ok(Value::Null),
    }
}
