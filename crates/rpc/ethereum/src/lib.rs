//! Ethereum's methods over the evm ledger, in the words and shapes of the execution APIs and of geth.
