// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// What an account without code of its own delegates to (EIP-7702): several calls in one transaction.
contract Batch {
    struct Call {
        address to;
        uint256 value;
        bytes data;
    }

    event Executed(address indexed self, uint256 calls);

    error NotMyself(address caller);

    function execute(Call[] calldata calls) external payable {
        if (msg.sender != address(this)) revert NotMyself(msg.sender);
        for (uint256 i = 0; i < calls.length; i++) {
            (bool success, bytes memory output) = calls[i].to.call{value: calls[i].value}(calls[i].data);
            if (!success) {
                assembly {
                    revert(add(output, 32), mload(output))
                }
            }
        }
        emit Executed(address(this), calls.length);
    }

    receive() external payable {}
}
