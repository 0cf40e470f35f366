// ts-mls as a peer in cross-play: one JSON object a line on stdin, one answer a line on stdout.
//
// A request has `id`, `op` and what the operation needs; the answer has the same `id` and either what came of it or
// `error`, a text. Bytes are base64 and, unless said otherwise, whole MLSMessages. The operations are those of the trait
// `Member` in ../src/peer.rs, on a `client` that the operation `client` has made; one process serves many.
//
// What ts-mls has no public function for is left out, except for two things that its own inner modules do and that
// it exports by file: naming the sender of a PrivateMessage, and signing the leaf of an Update.

import { createInterface } from "node:readline"
import { p256, p384, p521 } from "@noble/curves/nist.js"
import {
  ciphersuites,
  createApplicationMessage,
  createCommit,
  createGroup,
  createGroupInfoWithExternalPub,
  createGroupInfoWithExternalPubAndRatchetTree,
  createProposal,
  decodeMlsMessage,
  defaultAuthenticationService,
  defaultExtensionTypes,
  defaultKeyPackageEqualityConfig,
  defaultLifetime,
  defaultLifetimeConfig,
  defaultPaddingConfig,
  defaultProposalTypes,
  encodeMlsMessage,
  generateKeyPackageWithKey,
  getCiphersuiteFromName,
  getCiphersuiteImpl,
  joinGroup,
  joinGroupExternal,
  makePskIndex,
  mlsExporter,
  processPrivateMessage,
  processPublicMessage,
} from "ts-mls"
import { encode } from "ts-mls/codec/tlsEncoder.js"
import { signWithLabel } from "ts-mls/crypto/signature.js"
import { leafNodeTBSEncoder } from "ts-mls/leafNode.js"
import { decryptSenderData } from "ts-mls/privateMessage.js"
import { decodeRatchetTree, encodeRatchetTree } from "ts-mls/ratchetTree.js"

const RFC_SUITES = Object.entries(ciphersuites).filter(([, number]) => number >= 1 && number <= 7)

// As many past epochs, and as many messages out of order, as the other peers keep.
const CONFIG = {
  authService: defaultAuthenticationService,
  keyPackageEqualityConfig: defaultKeyPackageEqualityConfig,
  lifetimeConfig: defaultLifetimeConfig,
  paddingConfig: defaultPaddingConfig,
  keyRetentionConfig: { retainKeysForGenerations: 64, retainKeysForEpochs: 64, maximumForwardRatchetSteps: 1000 },
}

const clients = new Map()
let nextClient = 1

const operations = {
  hello: () => ({ suites: RFC_SUITES.map(([, number]) => number) }),

  async client({ identity, suite, publicHandshake, supportedExtension }) {
    const cs = await suiteOf(suite)
    clients.set(nextClient, {
      identity: bytes(identity),
      publicHandshake,
      supportedExtension,
      cs,
      signature: await signatureKeyPair(cs),
      keyPackages: [],
      psks: {},
      state: undefined,
      // The own commit, not applied.
      pending: undefined,
      // Private keys of the leaves in Updates that were proposed in this epoch, by their public key.
      updates: {},
      // For the group that replaces this one: its suite, and the new signature key and KeyPackage.
      successor: undefined,
    })
    return { client: nextClient++ }
  },

  forget({ client }) {
    clients.delete(client)
    return {}
  },

  async keyPackage({ client }) {
    const c = clientOf(client)
    const made = await newKeyPackage(c, c.cs, c.signature)
    c.keyPackages.push(made)
    return { keyPackage: keyPackageOut(made) }
  },

  addPsk({ client, pskId, secret }) {
    // Base64 is how makePskIndex names external PSKs, too.
    clientOf(client).psks[pskId] = bytes(secret)
    return {}
  },

  async create({ client, groupId }) {
    const c = clientOf(client)
    const { publicPackage, privatePackage } = await newKeyPackage(c, c.cs, c.signature)
    enter(c, await createGroup(bytes(groupId), publicPackage, privatePackage, [], c.cs, CONFIG))
    return {}
  },

  async join({ client, welcome, tree }) {
    const c = clientOf(client)
    enter(c, await joinWith(c, c.cs, c.keyPackages, makePskIndex(undefined, c.psks), undefined, welcome, tree))
    return {}
  },

  async externalCommit({ client, groupInfo, tree, resync }) {
    const c = clientOf(client)
    const info = messageIn(groupInfo, "mls_group_info").groupInfo
    const { publicPackage, privatePackage } = await newKeyPackage(c, c.cs, c.signature)
    const joined = await joinGroupExternal(
      info, publicPackage, privatePackage, resync, c.cs, treeIn(tree), CONFIG,
    )
    enter(c, joined.newState)
    return {
      commit: messageOut({ version: "mls10", wireformat: "mls_public_message", publicMessage: joined.publicMessage }),
    }
  },

  async propose({ client, proposal }) {
    const c = clientOf(client)
    const made = await proposalIn(c, proposal)
    const { newState, message } = await createProposal(stateOf(c), c.publicHandshake, made, c.cs)
    c.state = newState
    return { proposal: messageOut(message) }
  },

  async commit({ client, byValue, treeInWelcome, separateWelcomes }) {
    const c = clientOf(client)
    const state = stateOf(c)
    const extraProposals = await Promise.all(byValue.map((proposal) => proposalIn(c, proposal)))
    const made = await createCommit(
      { state, pskIndex: makePskIndex(state, c.psks), cipherSuite: c.cs },
      { wireAsPublicMessage: c.publicHandshake, extraProposals, ratchetTreeExtension: treeInWelcome },
    )
    const byReference = Object.values(state.unappliedProposals).map(({ proposal }) => proposal)
    c.pending = { newState: made.newState, proposals: typesOf([...byReference, ...extraProposals]) }
    return {
      commit: messageOut(made.commit),
      welcomes: welcomesOut(made.welcome, separateWelcomes),
      tree: treeInWelcome ? null : treeOut(made.newState),
    }
  },

  applyPending({ client }) {
    const c = clientOf(client)
    if (c.pending === undefined) throw new Error("no commit is pending")
    const { newState, proposals } = c.pending
    enter(c, newState)
    return { proposals }
  },

  discardPending({ client }) {
    clientOf(client).pending = undefined
    return {}
  },

  async process({ client, message }) {
    const c = clientOf(client)
    const received = messageIn(message)
    switch (received.wireformat) {
      case "mls_private_message":
        if (received.privateMessage.contentType === "application") return await readApplication(c, received)
        return await readHandshake(c, (state, watch) =>
          // Not processMessage: that one passes on no PSKs for a PrivateMessage.
          processPrivateMessage(state, received.privateMessage, makePskIndex(state, c.psks), c.cs, watch),
        )
      case "mls_public_message":
        return await readHandshake(c, (state, watch) =>
          processPublicMessage(state, received.publicMessage, makePskIndex(state, c.psks), c.cs, watch),
        )
      default:
        throw new Error(`a ${received.wireformat} is nothing to process`)
    }
  },

  async send({ client, plaintext, aad }) {
    const c = clientOf(client)
    const made = await createApplicationMessage(stateOf(c), bytes(plaintext), c.cs, bytes(aad))
    c.state = made.newState
    return {
      message: messageOut({
        version: "mls10",
        wireformat: "mls_private_message",
        privateMessage: made.privateMessage,
      }),
    }
  },

  async groupInfo({ client, withTree }) {
    const c = clientOf(client)
    const make = withTree ? createGroupInfoWithExternalPubAndRatchetTree : createGroupInfoWithExternalPub
    const groupInfo = await make(stateOf(c), [], c.cs)
    return { groupInfo: messageOut({ version: "mls10", wireformat: "mls_group_info", groupInfo }) }
  },

  async view({ client, label, context, length }) {
    const c = clientOf(client)
    const state = stateOf(c)
    const exported = await mlsExporter(state.keySchedule.exporterSecret, label, bytes(context), length, c.cs)
    return {
      epoch: Number(state.groupContext.epoch),
      epochAuthenticator: text(state.keySchedule.epochAuthenticator),
      exported: text(exported),
      members: state.ratchetTree.flatMap((node, index) =>
        node?.nodeType !== "leaf"
          ? []
          : {
              leafIndex: index / 2,
              identity: text(identityOf(node.leaf)),
              signatureKey: text(node.leaf.signaturePublicKey),
            },
      ),
      tree: treeOut(state),
      extensions: state.groupContext.extensions.map(({ extensionType, extensionData }) => ({
        extensionType: typeof extensionType === "number" ? extensionType : defaultExtensionTypes[extensionType],
        data: text(extensionData),
      })),
    }
  },

  async reinitKeyPackage({ client }) {
    const c = clientOf(client)
    await prepareSuccessor(c)
    return { keyPackage: keyPackageOut(c.successor.made) }
  },

  async reinitCreate({ client, keyPackages, treeInWelcome }) {
    const c = clientOf(client)
    await prepareSuccessor(c)
    const { cs, made } = c.successor
    const { groupId, extensions } = stateOf(c).groupActiveState.reinit
    const group = await createGroup(groupId, made.publicPackage, made.privatePackage, extensions, cs, CONFIG)
    const answer = await createSuccessor(c, "reinit", group, cs, keyPackages, treeInWelcome)
    becomeSuccessor(c)
    return answer
  },

  async reinitJoin({ client, welcome, tree }) {
    const c = clientOf(client)
    const old = stateOf(c)
    if (c.successor === undefined) throw new Error("no KeyPackage for the successor group was made")
    const { cs, made } = c.successor
    enter(c, await joinWith(c, cs, [made], makePskIndex(old, c.psks), old, welcome, tree))
    becomeSuccessor(c)
    return {}
  },

  async branchCreate({ client, groupId, keyPackages, treeInWelcome }) {
    const c = clientOf(client)
    const { publicPackage, privatePackage } = await newKeyPackage(c, c.cs, c.signature)
    const { extensions } = stateOf(c).groupContext
    const group = await createGroup(bytes(groupId), publicPackage, privatePackage, extensions, c.cs, CONFIG)
    return await createSuccessor(c, "branch", group, c.cs, keyPackages, treeInWelcome)
  },

  async branchJoin({ client, welcome, tree }) {
    const c = clientOf(client)
    const old = stateOf(c)
    enter(c, await joinWith(c, c.cs, c.keyPackages, makePskIndex(old, c.psks), old, welcome, tree))
    return {}
  },
}

// Groups.

function enter(c, state) {
  c.state = state
  c.pending = undefined
  c.updates = {}
}

function clientOf(client) {
  const found = clients.get(client)
  if (found === undefined) throw new Error("no such client")
  return found
}

function stateOf(c) {
  if (c.state === undefined) throw new Error("no group")
  return c.state
}

// A Welcome names a KeyPackage by its hash: the one that it opens with is the one.
async function joinWith(c, cs, keyPackages, pskIndex, old, welcome, tree) {
  const { welcome: received } = messageIn(welcome, "mls_welcome")
  for (const { publicPackage, privatePackage } of keyPackages) {
    try {
      return await joinGroup(received, publicPackage, privatePackage, pskIndex, cs, treeIn(tree), old, CONFIG)
    } catch (error) {
      if (error.message !== "No matching secret found") throw error
    }
  }
  throw new Error("the Welcome is for no KeyPackage of ours")
}

// RFC 9420 §11.2 and §11.3: a group with everybody added and the old group's resumption PSK, in epoch 1.
async function createSuccessor(c, usage, group, cs, keyPackages, treeInWelcome) {
  const old = stateOf(c)
  const adds = keyPackages.map((keyPackage) => ({
    proposalType: "add",
    add: { keyPackage: messageIn(keyPackage, "mls_key_package").keyPackage },
  }))
  const psk = pskProposal(cs, {
    psktype: "resumption",
    usage,
    pskGroupId: old.groupContext.groupId,
    pskEpoch: old.groupContext.epoch,
  })
  const made = await createCommit(
    { state: group, pskIndex: makePskIndex(old, c.psks), cipherSuite: cs },
    { extraProposals: [...adds, psk], ratchetTreeExtension: treeInWelcome },
  )
  enter(c, made.newState)
  return {
    welcomes: welcomesOut(made.welcome, false),
    tree: treeInWelcome ? null : treeOut(made.newState),
  }
}

async function prepareSuccessor(c) {
  const { kind, reinit } = stateOf(c).groupActiveState
  if (kind !== "suspendedPendingReinit") throw new Error("no ReInit was committed")
  if (c.successor !== undefined) return
  const cs = await getCiphersuiteImpl(getCiphersuiteFromName(reinit.cipherSuite))
  const signature = await signatureKeyPair(cs)
  c.successor = { cs, signature, made: await newKeyPackage(c, cs, signature) }
}

function becomeSuccessor(c) {
  c.cs = c.successor.cs
  c.signature = c.successor.signature
  c.successor = undefined
  c.keyPackages = []
}

// Receiving.

async function readApplication(c, { privateMessage }) {
  const state = stateOf(c)
  const { epoch } = privateMessage
  const past = state.historicalReceiverData.get(epoch)
  const [secret, tree] =
    epoch === state.groupContext.epoch
      ? [state.keySchedule.senderDataSecret, state.ratchetTree]
      : [past?.senderDataSecret, past?.ratchetTree]
  const result = await processPrivateMessage(state, privateMessage, makePskIndex(state, c.psks), c.cs)
  c.state = result.newState
  const { leafIndex } = await decryptSenderData(privateMessage, secret, c.cs)
  return {
    kind: "application",
    plaintext: text(result.message),
    aad: text(privateMessage.authenticatedData),
    sender: text(identityOf(tree[2 * leafIndex].leaf)),
  }
}

async function readHandshake(c, process) {
  let state = stateOf(c)
  if (Object.keys(c.updates).length > 0) {
    // ts-mls keeps no key for an Update of its own: look at the proposals first, then bring the key.
    await process(state, (incoming) => {
      const key = incoming.kind === "commit" ? keyOfOwnUpdate(c, incoming.proposals) : undefined
      if (key !== undefined) state = withLeafKey(state, key)
      return "reject"
    })
  }
  let seen
  const { newState } = await process(state, (incoming) => {
    seen = incoming
    return "accept"
  })
  if (seen.kind === "proposal") {
    c.state = newState
    return { kind: "proposal", proposal: typesOf([seen.proposal.proposal])[0] }
  }
  enter(c, newState)
  return {
    kind: "commit",
    proposals: typesOf(seen.proposals.map(({ proposal }) => proposal)),
    removed: newState.groupActiveState.kind === "removedFromGroup",
  }
}

function keyOfOwnUpdate(c, proposals) {
  const own = proposals.find(
    ({ proposal, senderLeafIndex }) =>
      proposal.proposalType === "update" && senderLeafIndex === c.state.privatePath.leafIndex,
  )
  return own && c.updates[text(own.proposal.update.leafNode.hpkePublicKey)]
}

function withLeafKey(state, key) {
  const { privatePath } = state
  const privateKeys = { ...privatePath.privateKeys, [2 * privatePath.leafIndex]: key }
  return { ...state, privatePath: { ...privatePath, privateKeys } }
}

// Proposals.

async function proposalIn(c, proposal) {
  const { groupContext } = stateOf(c)
  switch (proposal.kind) {
    case "add":
      return {
        proposalType: "add",
        add: { keyPackage: messageIn(proposal.keyPackage, "mls_key_package").keyPackage },
      }
    case "update":
      return { proposalType: "update", update: { leafNode: await newLeaf(c) } }
    case "remove":
      return { proposalType: "remove", remove: { removed: proposal.leafIndex } }
    case "externalPsk":
      return pskProposal(c.cs, { psktype: "external", pskId: bytes(proposal.pskId) })
    case "resumptionPsk":
      return pskProposal(c.cs, {
        psktype: "resumption",
        usage: "application",
        pskGroupId: groupContext.groupId,
        pskEpoch: BigInt(proposal.epoch),
      })
    case "reinit":
      return {
        proposalType: "reinit",
        reinit: {
          groupId: bytes(proposal.groupId),
          version: "mls10",
          cipherSuite: suiteName(proposal.suite),
          extensions: [],
        },
      }
    case "groupContextExtensions":
      return {
        proposalType: "group_context_extensions",
        groupContextExtensions: { extensions: proposal.extensions.map(extensionIn) },
      }
    default:
      throw new Error(`no proposal is called ${proposal.kind}`)
  }
}

function pskProposal(cs, info) {
  const pskNonce = cs.rng.randomBytes(cs.kdf.size)
  return { proposalType: "psk", psk: { preSharedKeyId: { ...info, pskNonce } } }
}

// RFC 9420 §7.5: a fresh encryption key, everything else as before.
async function newLeaf(c) {
  const state = stateOf(c)
  const { leafIndex } = state.privatePath
  const { credential, capabilities, extensions, signaturePublicKey } = state.ratchetTree[2 * leafIndex].leaf
  const keys = await c.cs.hpke.generateKeyPair()
  const hpkePublicKey = await c.cs.hpke.exportPublicKey(keys.publicKey)
  c.updates[text(hpkePublicKey)] = await c.cs.hpke.exportPrivateKey(keys.privateKey)
  const leaf = { leafNodeSource: "update", hpkePublicKey, signaturePublicKey, credential, capabilities, extensions }
  const tbs = encode(leafNodeTBSEncoder)({ ...leaf, groupId: state.groupContext.groupId, leafIndex })
  const signature = await signWithLabel(c.signature.signKey, "LeafNodeTBS", tbs, c.cs.signature)
  return { ...leaf, signature }
}

function typesOf(proposals) {
  return proposals
    .map(({ proposalType }) =>
      typeof proposalType === "number" ? proposalType : defaultProposalTypes[proposalType],
    )
    .sort((a, b) => a - b)
}

// KeyPackages and keys.

function newKeyPackage(c, cs, signature) {
  const credential = { credentialType: "basic", identity: c.identity }
  const capabilities = {
    versions: ["mls10"],
    ciphersuites: RFC_SUITES.map(([name]) => name),
    extensions: [c.supportedExtension],
    proposals: [],
    credentials: ["basic"],
  }
  return generateKeyPackageWithKey(credential, capabilities, defaultLifetime, [], signature, cs)
}

// RFC 9420 §5.1.1 asks for uncompressed points as ECDSA keys; what ts-mls makes by itself are compressed ones.
async function signatureKeyPair(cs) {
  const curve = { P256: p256, P384: p384, P521: p521 }[getCiphersuiteFromName(cs.name).signature]
  if (curve === undefined) return await cs.signature.keygen()
  const signKey = curve.utils.randomSecretKey()
  return { signKey, publicKey: curve.getPublicKey(signKey, false) }
}

function suiteName(number) {
  const found = RFC_SUITES.find(([, suite]) => suite === number)
  if (found === undefined) throw new Error(`no suite ${number}`)
  return found[0]
}

function suiteOf(number) {
  return getCiphersuiteImpl(getCiphersuiteFromName(suiteName(number)))
}

function identityOf(leaf) {
  if (leaf.credential.credentialType !== "basic") throw new Error("not a Basic credential")
  return leaf.credential.identity
}

// Bytes in and out.

function bytes(base64) {
  return new Uint8Array(Buffer.from(base64, "base64"))
}

function text(array) {
  return Buffer.from(array).toString("base64")
}

function messageIn(base64, wireformat) {
  const encoded = bytes(base64)
  const [message, read] = decodeMlsMessage(encoded, 0) ?? []
  if (message === undefined) throw new Error("ts-mls can't decode the message")
  if (read !== encoded.length) throw new Error("bytes after the end of the message")
  if (wireformat !== undefined && message.wireformat !== wireformat) throw new Error(`not a ${wireformat}`)
  return message
}

function messageOut(message) {
  return text(encodeMlsMessage(message))
}

function keyPackageOut({ publicPackage }) {
  return messageOut({ version: "mls10", wireformat: "mls_key_package", keyPackage: publicPackage })
}

function welcomesOut(welcome, separate) {
  if (welcome === undefined) return []
  const welcomes = separate ? welcome.secrets.map((secret) => ({ ...welcome, secrets: [secret] })) : [welcome]
  return welcomes.map((each) => messageOut({ version: "mls10", wireformat: "mls_welcome", welcome: each }))
}

function treeIn(tree) {
  if (tree === null || tree === undefined) return undefined
  const [decoded] = decodeRatchetTree(bytes(tree), 0) ?? []
  if (decoded === undefined) throw new Error("ts-mls can't decode the ratchet tree")
  return decoded
}

function treeOut(state) {
  return text(encodeRatchetTree(state.ratchetTree))
}

// The known extension types have names in ts-mls.
function extensionIn({ extensionType, data }) {
  const [name] = Object.entries(defaultExtensionTypes).find(([, number]) => number === extensionType) ?? []
  return { extensionType: name ?? extensionType, extensionData: bytes(data) }
}

// Lines.

async function answer(line) {
  let id = null
  try {
    const request = JSON.parse(line)
    id = request.id
    const operation = operations[request.op]
    if (operation === undefined) throw new Error(`no operation is called ${request.op}`)
    return { id, ...(await operation(request)) }
  } catch (error) {
    return { id, error: `${error?.name ?? "Error"}: ${error?.message ?? error}` }
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(await answer(line))}\n`)
}
