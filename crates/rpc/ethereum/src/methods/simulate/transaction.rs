//! The transaction a call of a simulation would be, which nobody signed.
//!
//! Source: go-ethereum 1.16, `internal/ethapi/transaction_args.go` `ToTransaction`.

use alloy_consensus::{EthereumTypedTransaction, TxEip1559, TxEip4844, TxEip7702, TxLegacy};
use alloy_rpc_types_eth::TransactionRequest;
use chainwright_evm::types::EvmTx;
use chainwright_rpc::RpcError;
use serde_json::{Value, json};

use crate::call;
use crate::chain::server_error;

type Typed = EthereumTypedTransaction<TxEip4844>;

/// The transaction of a call whose nonce and gas are filled in.
pub(super) fn of(chain_id: u64, request: &TransactionRequest) -> Result<EvmTx, RpcError> {
    let typed = match request {
        TransactionRequest { gas_price: Some(_), .. } => legacy(request)?,
        TransactionRequest { authorization_list: Some(_), .. } => {
            set_code(market(chain_id, request)?, request)?
        }
        TransactionRequest { blob_versioned_hashes: Some(_), .. } => {
            blobs(market(chain_id, request)?, request)?
        }
        _ => Typed::Eip1559(market(chain_id, request)?),
    };
    Ok(EvmTx::unsigned(typed, request.from.unwrap_or_default()))
}

fn legacy(request: &TransactionRequest) -> Result<Typed, RpcError> {
    Ok(Typed::Legacy(TxLegacy {
        chain_id: None,
        nonce: request.nonce.unwrap_or_default(),
        gas_price: request.gas_price.unwrap_or_default(),
        gas_limit: request.gas.unwrap_or_default(),
        to: request.to.unwrap_or_default(),
        value: request.value.unwrap_or_default(),
        input: call::input(request)?,
    }))
}

fn market(chain_id: u64, request: &TransactionRequest) -> Result<TxEip1559, RpcError> {
    Ok(TxEip1559 {
        chain_id,
        nonce: request.nonce.unwrap_or_default(),
        gas_limit: request.gas.unwrap_or_default(),
        max_fee_per_gas: request.max_fee_per_gas.unwrap_or_default(),
        max_priority_fee_per_gas: request.max_priority_fee_per_gas.unwrap_or_default(),
        to: request.to.unwrap_or_default(),
        value: request.value.unwrap_or_default(),
        access_list: request.access_list.clone().unwrap_or_default(),
        input: call::input(request)?,
    })
}

fn set_code(tx: TxEip1559, request: &TransactionRequest) -> Result<Typed, RpcError> {
    let creates = || server_error("EIP-7702 transaction cannot be used to create contract");
    Ok(Typed::Eip7702(TxEip7702 {
        chain_id: tx.chain_id,
        nonce: tx.nonce,
        gas_limit: tx.gas_limit,
        max_fee_per_gas: tx.max_fee_per_gas,
        max_priority_fee_per_gas: tx.max_priority_fee_per_gas,
        to: tx.to.into_to().ok_or_else(creates)?,
        value: tx.value,
        access_list: tx.access_list,
        authorization_list: request.authorization_list.clone().unwrap_or_default(),
        input: tx.input,
    }))
}

fn blobs(tx: TxEip1559, request: &TransactionRequest) -> Result<Typed, RpcError> {
    let creates = || server_error("blob transaction of type create");
    Ok(Typed::Eip4844(TxEip4844 {
        chain_id: tx.chain_id,
        nonce: tx.nonce,
        gas_limit: tx.gas_limit,
        max_fee_per_gas: tx.max_fee_per_gas,
        max_priority_fee_per_gas: tx.max_priority_fee_per_gas,
        to: tx.to.into_to().ok_or_else(creates)?,
        value: tx.value,
        access_list: tx.access_list,
        blob_versioned_hashes: request.blob_versioned_hashes.clone().unwrap_or_default(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
        input: tx.input,
    }))
}

/// A legacy transaction as geth shows one without a signature: `v` is 0, and what it takes for the chain id is
/// (0 - 35) / 2 in 64 bits (`core/types` `deriveChainId`). Its envelope knows neither that `v` nor the hash that follows.
pub(super) fn unsigned(shown: &mut Value, tx: &EvmTx) {
    if shown["type"] == "0x0" {
        shown["hash"] = json!(tx.hash());
        shown["v"] = json!("0x0");
        shown["chainId"] = json!("0x7fffffffffffffee");
    }
}
