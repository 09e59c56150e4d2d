//! Why a transaction cannot be executed, in the words of geth, which libraries match.

use chainwright_chain::{Fault, Reason, Reject};
use revm::context::result::{EVMError, InvalidTransaction};
use revm::context::{BlockEnv, TxEnv};

use super::bound::INTERRUPTED;
use super::machine::MachineError;

/// Why a transaction does not fit into a block at its place.
#[derive(Clone, Debug, thiserror::Error)]
pub enum TransactionError {
    /// The block has not that much gas left.
    #[error("gas limit reached")]
    GasLimitReached {
        /// What the transaction asks for.
        wanted: u64,
        /// What is left.
        left: u64,
    },
    /// Nonce, balance, fees or form forbid it.
    #[error("{words}")]
    Invalid {
        /// The rule.
        why: InvalidTransaction,
        /// What geth says (`core/error.go`, `core/state_transition.go`).
        words: String,
    },
    /// The machine gave up on it without saying that it is invalid.
    #[error("{0}")]
    Refused(String),
    /// Somebody ended the execution, see [`Bound`](super::Bound).
    #[error("execution interrupted")]
    Interrupted,
    /// Our disk.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl TransactionError {
    pub(super) fn new(error: MachineError, tx: &TxEnv, block: &BlockEnv) -> Self {
        match error {
            EVMError::Transaction(why) => Self::Invalid { words: words(&why, tx, block), why },
            EVMError::Database(error) => Self::Fault(error.0),
            EVMError::Custom(words) if words == INTERRUPTED => Self::Interrupted,
            other => Self::Refused(other.to_string()),
        }
    }

    /// The verdict on a block that holds the transaction; `detail` puts words around those of geth.
    pub fn reject(self, code: &'static str, detail: impl FnOnce(&Self) -> String) -> Reject {
        match self {
            Self::Fault(fault) => Reject::Fault(fault),
            other => Reject::Invalid(Reason::with(code, detail(&other))),
        }
    }
}

/// What geth says.
fn words(why: &InvalidTransaction, tx: &TxEnv, block: &BlockEnv) -> String {
    use InvalidTransaction as Why;
    let sender = tx.caller;
    match why {
        Why::NonceTooLow { tx, state } => format!("nonce too low: address {sender}, tx: {tx} state: {state}"),
        Why::NonceTooHigh { tx, state } => {
            format!("nonce too high: address {sender}, tx: {tx} state: {state}")
        }
        Why::NonceOverflowInTransaction => {
            format!("nonce has max value: address {sender}, nonce: {}", tx.nonce)
        }
        Why::RejectCallerWithCode => format!("sender not an eoa: address {sender}"),
        Why::PriorityFeeGreaterThanMaxFee => {
            let tip = tx.gas_priority_fee.unwrap_or_default();
            let fees = format!("maxPriorityFeePerGas: {tip}, maxFeePerGas: {}", tx.gas_price);
            format!("max priority fee per gas higher than max fee per gas: address {sender}, {fees}")
        }
        Why::GasPriceLessThanBasefee => {
            let fees = format!("maxFeePerGas: {}, baseFee: {}", tx.gas_price, block.basefee);
            format!("max fee per gas less than block base fee: address {sender}, {fees}")
        }
        Why::LackOfFundForMaxFee { fee, balance } => {
            format!("insufficient funds for gas * price + value: address {sender} have {balance} want {fee}")
        }
        Why::OverflowPaymentInTransaction => {
            format!(
                "insufficient funds for gas * price + value: address {sender} required balance exceeds 256 bits"
            )
        }
        Why::CallGasCostMoreThanGasLimit { initial_gas, gas_limit } => {
            format!("intrinsic gas too low: have {gas_limit}, want {initial_gas}")
        }
        Why::GasFloorMoreThanGasLimit { gas_floor, gas_limit } => {
            format!("insufficient gas for floor data gas cost: have {gas_limit}, want {gas_floor}")
        }
        Why::CreateInitCodeSizeLimit => format!("max initcode size exceeded: code size {}", tx.data.len()),
        Why::CallerGasLimitMoreThanBlock => "gas limit reached".into(),
        Why::TxGasLimitGreaterThanCap { gas_limit, cap } => {
            format!("transaction gas limit too high (cap: {cap}, tx: {gas_limit})")
        }
        other => other_words(other, tx),
    }
}

/// The rarer half of [`words`].
fn other_words(why: &InvalidTransaction, tx: &TxEnv) -> String {
    use InvalidTransaction as Why;
    match why {
        Why::InvalidChainId | Why::MissingChainId => {
            format!("invalid chain id for signer: have {}", tx.chain_id.unwrap_or_default())
        }
        Why::BlobGasPriceGreaterThanMax { block_blob_gas_price, tx_max_fee_per_blob_gas } => {
            let fees =
                format!("blobGasFeeCap: {tx_max_fee_per_blob_gas}, blobBaseFee: {block_blob_gas_price}");
            format!("max fee per blob gas less than block blob gas fee: address {} {fees}", tx.caller)
        }
        Why::EmptyBlobs => "blob transaction missing blob hashes".into(),
        Why::TooManyBlobs { max, have } => {
            format!("blob transaction has too many blobs: have {have}, allowed {max}")
        }
        Why::BlobCreateTransaction => "blob transaction of type create".into(),
        Why::BlobVersionNotSupported => {
            let wrong = tx.blob_hashes.iter().position(|hash| hash.first() != Some(&1)).unwrap_or_default();
            format!("blob {wrong} has invalid hash version")
        }
        Why::EmptyAuthorizationList => {
            format!("EIP-7702 transaction with empty auth list (sender {})", tx.caller)
        }
        Why::Eip2930NotSupported
        | Why::Eip1559NotSupported
        | Why::Eip4844NotSupported
        | Why::Eip7702NotSupported => "transaction type not supported".into(),
        other => other.to_string(),
    }
}
