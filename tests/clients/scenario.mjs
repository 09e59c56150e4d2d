// What every JavaScript client's script begins with: where the node is, the contracts, and steps that are timed and told.
import { readFileSync } from "node:fs";

/** The node's HTTP and WebSocket address: one port. */
export const url = process.env.CHAINWRIGHT_URL ?? "http://127.0.0.1:8545";
export const socketUrl = url.replace("http", "ws");

/** `{ Token: { abi, bytecode }, … }` as `compile.mjs` left them. */
export const artifacts = JSON.parse(readFileSync("artifacts.json", "utf8"));

/** The mnemonic of development chains. */
export const mnemonic = "test test test test test test test test test test test junk";

/** Runs one step of a scenario and says so; the first that fails ends the script. */
export async function step(name, run) {
  const started = performance.now();
  try {
    await run();
  } catch (error) {
    console.error(`FAILED: ${name}`);
    console.error(error);
    process.exit(1);
  }
  console.log(`ok ${name} (${Math.round(performance.now() - started)} ms)`);
}

/** Gives `seconds` for something to happen, and an error that says what did not. */
export function within(seconds, what, promise) {
  const late = new Promise((_, reject) => {
    setTimeout(() => reject(new Error(`waited ${seconds} s for: ${what}`)), seconds * 1000).unref();
  });
  return Promise.race([promise, late]);
}

/** Waits until `ready` gives something other than undefined. */
export async function until(what, ready) {
  for (let turn = 0; turn < 400; turn += 1) {
    const value = await ready();
    if (value !== undefined && value !== false) return value;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  throw new Error(`waited in vain for: ${what}`);
}

/** A JSON-RPC call without any library. */
export async function rpc(method, params = []) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
  const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body });
  const { result, error } = await answer.json();
  if (error) throw Object.assign(new Error(`${method}: ${error.message}`), error);
  return result;
}
