//! What time blocks say.

use chainwright_chain::{Header as _, Height, Timestamp};
use chainwright_rpc::{Answer, Call, Kind, Parameter, RpcError};
use serde_json::{Value, json};

use super::{SECONDS, method, required_number64};
use crate::development::of;
use crate::dialect::{Context, Entry};
use crate::input;

const TIMESTAMP: Parameter = Parameter::required("timestamp", Kind::Any, "Seconds since 1970");

pub(crate) const METHODS: &[Entry] = &[
    method("evm_increaseTime", &[SECONDS], "Lets time jump forward; answers how far it is ahead.", increase),
    method(
        "anvil_increaseTime",
        &[SECONDS],
        "Lets time jump forward; answers how far it is ahead.",
        increase,
    ),
    method("evm_setNextBlockTimestamp", &[TIMESTAMP], "What the next block says.", set_next),
    method("anvil_setNextBlockTimestamp", &[TIMESTAMP], "What the next block says.", set_next),
    method("evm_setTime", &[TIMESTAMP], "Sets the time; answers how far it jumped.", set_time),
    method("anvil_setTime", &[TIMESTAMP], "Sets the time; answers how far it jumped.", set_time),
    method("anvil_setBlockTimestampInterval", &[SECONDS], "Seconds from block to block.", set_step),
    method("anvil_removeBlockTimestampInterval", &[], "Lets blocks follow the clock again.", remove_step),
    method("anvil_getGenesisTime", &[], "What the first block says.", |context, _| {
        let genesis = context.chain.published().head().headers.ancestor(Height::GENESIS);
        Ok(json!(genesis.map_or(0, |genesis| genesis.header().time().0)))
    }),
];

/// Refuses a time that the block after the head cannot say.
pub(super) fn check_later(context: &Context, time: Timestamp) -> Result<(), RpcError> {
    let last = context.chain.published().head().headers.header().time();
    if time > last {
        return Ok(());
    }
    Err(input::invalid(
        0,
        format!(
            "timestamp {time} is not later than the last block's, {last} (hint: give {} or more)",
            last.0.saturating_add(1)
        ),
    ))
}

fn increase(context: &Context, call: &Call) -> Answer {
    let seconds = required_number64(call, 0)?;
    let seconds = i64::try_from(seconds).map_err(|_| input::invalid(0, "too many seconds"))?;
    let ahead = of(context)?.control(|controls| {
        controls.time.offset_seconds = controls.time.offset_seconds.saturating_add(seconds);
        controls.time.offset_seconds
    })?;
    Ok(json!(ahead))
}

fn set_next(context: &Context, call: &Call) -> Answer {
    let next = Timestamp(required_number64(call, 0)?);
    check_later(context, next)?;
    of(context)?.control(|controls| controls.time.next = Some(next))?;
    Ok(Value::Null)
}

fn set_time(context: &Context, call: &Call) -> Answer {
    let time = Timestamp(required_number64(call, 0)?);
    let clock = context.chain.handle.clock().now();
    let jumped = of(context)?.control(|controls| {
        let before = controls.time.now(clock);
        controls.time.set_now(clock, time);
        controls.time.next = None;
        time.0.saturating_sub(before.0)
    })?;
    Ok(json!(jumped))
}

fn set_step(context: &Context, call: &Call) -> Answer {
    let seconds = required_number64(call, 0)?;
    of(context)?.control(|controls| controls.time.step_seconds = Some(seconds))?;
    Ok(Value::Null)
}

fn remove_step(context: &Context, _: &Call) -> Answer {
    let was_set = of(context)?.control(|controls| controls.time.step_seconds.take().is_some())?;
    Ok(json!(was_set))
}
