//! Why a simulation stops (geth, `internal/ethapi/errors.go`).

use chainwright_evm::execute::TransactionError;
use chainwright_rpc::RpcError;
use revm::context::result::InvalidTransaction as Why;

use crate::chain::fault;
use crate::limits::Deadline;

/// A call that was executed and halted.
pub(super) const HALTED: i32 = -32015;

const INVALID_PARAMS: i32 = -32602;
const INTERNAL: i32 = -32603;
const NONCE_TOO_LOW: i32 = -38010;
const NONCE_TOO_HIGH: i32 = -38011;
const BASE_FEE_TOO_LOW: i32 = -38012;
const INTRINSIC_GAS: i32 = -38013;
const INSUFFICIENT_FUNDS: i32 = -38014;
const BLOCK_GAS_LIMIT: i32 = -38015;
const BLOCK_NUMBER: i32 = -38020;
const BLOCK_TIME: i32 = -38021;
const SENDER_NOT_EOA: i32 = -38024;
const INIT_CODE_SIZE: i32 = -38025;
const LIMIT_EXCEEDED: i32 = -38026;

pub(super) fn too_many_blocks() -> RpcError {
    RpcError::new(LIMIT_EXCEEDED, "too many blocks")
}

pub(super) fn number_order(number: u64, before: u64) -> RpcError {
    RpcError::new(BLOCK_NUMBER, format!("block numbers must be in order: {number} <= {before}"))
}

pub(super) fn time_order(time: u64, before: u64) -> RpcError {
    RpcError::new(BLOCK_TIME, format!("block timestamps must be in order: {time} <= {before}"))
}

pub(super) fn block_gas(left: u64, wanted: u64) -> RpcError {
    let words = format!("block gas limit reached: remaining: {left}, required: {wanted}");
    RpcError::new(BLOCK_GAS_LIMIT, words)
}

/// The deadline has passed.
pub(super) fn late(deadline: &Deadline) -> RpcError {
    RpcError { code: INTERNAL, ..deadline.error() }
}

/// A call that cannot be executed where it stands.
pub(super) fn call(error: TransactionError, gas: u64, deadline: &Deadline) -> RpcError {
    let code = match &error {
        TransactionError::Fault(error) => return fault(error.clone()),
        TransactionError::Interrupted => return late(deadline),
        TransactionError::Invalid { why, .. } => code_of(why),
        _ => INTERNAL,
    };
    RpcError::new(code, format!("err: {error} (supplied gas {gas})"))
}

fn code_of(why: &Why) -> i32 {
    match why {
        Why::NonceTooHigh { .. } => NONCE_TOO_HIGH,
        Why::NonceTooLow { .. } => NONCE_TOO_LOW,
        Why::RejectCallerWithCode => SENDER_NOT_EOA,
        Why::PriorityFeeGreaterThanMaxFee => INVALID_PARAMS,
        Why::GasPriceLessThanBasefee => BASE_FEE_TOO_LOW,
        Why::LackOfFundForMaxFee { .. } | Why::OverflowPaymentInTransaction => INSUFFICIENT_FUNDS,
        Why::CallGasCostMoreThanGasLimit { .. } => INTRINSIC_GAS,
        Why::CreateInitCodeSizeLimit => INIT_CODE_SIZE,
        _ => INTERNAL,
    }
}
