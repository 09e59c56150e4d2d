// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {ERC1967Proxy} from "@openzeppelin/contracts/proxy/ERC1967/ERC1967Proxy.sol";
import {Initializable} from "@openzeppelin/contracts/proxy/utils/Initializable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts/proxy/utils/UUPSUpgradeable.sol";

/// What stands in front of the box and stays where it is.
contract BoxProxy is ERC1967Proxy {
    constructor(address implementation, bytes memory data) ERC1967Proxy(implementation, data) {}
}

/// A box whose code its owner may replace.
contract Box is Initializable, UUPSUpgradeable {
    uint256 public value;
    address public owner;

    error NotTheOwner(address caller);

    constructor() {
        _disableInitializers();
    }

    function initialize(uint256 first) external initializer {
        value = first;
        owner = msg.sender;
    }

    function version() external pure virtual returns (uint256) {
        return 1;
    }

    function _authorizeUpgrade(address) internal view override {
        if (msg.sender != owner) revert NotTheOwner(msg.sender);
    }
}

/// The box after an upgrade: it can count.
contract BoxV2 is Box {
    function version() external pure override returns (uint256) {
        return 2;
    }

    function increment() external {
        value += 1;
    }
}
