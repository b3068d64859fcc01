// Plays one device of EAS 12.1 against the mock with aswbxml (npm), a WBXML codec by others. By hand, see docs/interop.md:
//   npm install aswbxml; easload mock; node aswbxml.js [PORT]
'use strict';
const http = require('http');
const assert = require('assert');
const { encode, decode } = require('aswbxml');

const port = Number(process.argv[2] || 8480);
const path = '/Microsoft-Server-ActiveSync';
const device = { policyKey: '0' };

function ask(command, body) {
  const headers = {
    Authorization: 'Basic ' + Buffer.from('anna:secret').toString('base64'),
    'MS-ASProtocolVersion': '12.1',
    'X-MS-PolicyKey': device.policyKey,
  };
  const bytes = body && encode(body, 'ActiveSync');
  if (bytes) headers['Content-Type'] = 'application/vnd.ms-sync.wbxml';
  const query = command ? `?Cmd=${command}&User=anna&DeviceId=node1&DeviceType=Node` : '';
  const options = { port, headers, method: command ? 'POST' : 'OPTIONS', path: path + query };
  return new Promise((resolve, reject) => {
    const request = http.request(options, (answer) => {
      const parts = [];
      answer.on('data', (part) => parts.push(part));
      answer.on('end', () => {
        const bytes = Buffer.concat(parts);
        assert.strictEqual(answer.statusCode, 200, command);
        resolve({ headers: answer.headers, xml: bytes.length ? decode(bytes, 'ActiveSync') : null });
      });
    });
    request.on('error', reject);
    request.end(bytes);
  });
}

const provision = (policy) =>
  ask('Provision', { Provision: { $: { xmlns: 'Provision:' }, Policies: [{ Policy: [policy] }] } });
const sync = (collection) =>
  ask('Sync', { Sync: { $: { xmlns: 'AirSync:' }, Collections: [{ Collection: [collection] }] } });
const policyOf = (answer) => answer.xml.Provision.Policies[0].Policy[0];
const collectionOf = (answer) => answer.xml.Sync.Collections[0].Collection[0];

async function main() {
  const options = await ask();
  assert(options.headers['ms-asprotocolversions'].split(',').includes('12.1'));
  const PolicyType = ['MS-EAS-Provisioning-WBXML'];
  device.policyKey = policyOf(await provision({ PolicyType })).PolicyKey[0];
  const accepted = { PolicyType, PolicyKey: [device.policyKey], Status: ['1'] };
  device.policyKey = policyOf(await provision(accepted)).PolicyKey[0];
  const hierarchy = await ask('FolderSync', { FolderSync: { $: { xmlns: 'FolderHierarchy:' }, SyncKey: ['0'] } });
  const folders = hierarchy.xml.FolderSync.Changes[0].Add;
  const inbox = folders.find((folder) => folder.Type[0] === '2').ServerId;
  const { SyncKey } = collectionOf(await sync({ SyncKey: ['0'], CollectionId: inbox }));
  const changes = await sync({ SyncKey, CollectionId: inbox, GetChanges: ['1'], WindowSize: ['10'] });
  console.log('Sync without changes:', changes.xml === null ? 'no body' : JSON.stringify(changes.xml));
  const folder = { Id: inbox, Class: ['Email'] };
  const ping = { $: { xmlns: 'Ping:' }, HeartbeatInterval: ['60'], Folders: [{ Folder: [folder] }] };
  const answer = await ask('Ping', { Ping: ping });
  console.log('Ping:', JSON.stringify(answer.xml.Ping));
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
