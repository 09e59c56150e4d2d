// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {Token} from "../contracts/Token.sol";

/// The few of forge's cheat codes that this test uses.
interface Vm {
    function envAddress(string calldata name) external view returns (address);
    function prank(address sender) external;
    function expectRevert(bytes calldata data) external;
    function rollFork(uint256 block_) external;
    function load(address target, bytes32 slot) external view returns (bytes32);
    function createSelectFork(string calldata url) external returns (uint256);
    function envString(string calldata name) external view returns (string memory);
}

/// Runs on a copy of our node's chain: state is fetched as it is touched.
contract ForkTest {
    Vm private constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));
    address private constant ALICE = 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266;
    address private constant BOB = 0x70997970C51812dc3A010C7d01b50e0d17dc79C8;
    Token private token;

    function setUp() public {
        token = Token(vm.envAddress("TOKEN"));
    }

    function test_the_state_of_the_chain_is_seen() public view {
        require(block.chainid == 31337, "chain id");
        require(keccak256(bytes(token.name())) == keccak256("Test Token"), "name");
        require(token.balanceOf(BOB) == 700, "balance");
        require(ALICE.balance > 9000 ether, "coins");
        require(uint256(vm.load(address(token), bytes32(uint256(1)))) == token.totalSupply(), "slot");
    }

    function test_transfers_on_the_copy() public {
        vm.prank(BOB);
        token.transfer(address(this), 100);
        require(token.balanceOf(address(this)) == 100, "received");
        require(token.balanceOf(BOB) == 600, "paid");
    }

    function test_custom_errors_are_told() public {
        vm.expectRevert(abi.encodeWithSelector(Token.InsufficientBalance.selector, address(this), 0, 1));
        token.transfer(BOB, 1);
    }

    function test_the_past_is_seen() public {
        vm.createSelectFork(vm.envString("CHAINWRIGHT_URL"));
        vm.rollFork(block.number - 1);
        require(token.balanceOf(BOB) == 0, "before the transfer");
    }
}
