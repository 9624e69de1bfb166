// An IRC client with irc-framework, over WebSocket: joins a room, sends each message back in capitals, and
// quits at the message "go". It prints a line for each event.
'use strict';

const IRC = require('irc-framework');
globalThis.WebSocket = require('ws');
const transport = require('irc-framework/src/transports/websocket');

const [, , port] = process.argv;
const client = new IRC.Client();

function print(...words) {
    process.stdout.write(words.join(' ') + '\n');
}

client.on('registered', () => {
    print('registered', client.user.nick);
    client.join('#tea');
});
client.on('join', event => print('join', event.nick, event.channel, client.network.name));
client.on('topic', event => print('topic', event.channel, event.topic));
client.on('userlist', event => print('userlist', event.users.map(user => user.nick).sort().join(',')));
client.on('message', event => {
    print(event.type, event.nick, event.target, event.message, event.time ? 'timed' : 'untimed');
    if (event.message === 'go') client.quit('see you');
    else if (event.nick !== client.user.nick) client.say('#tea', event.message.toUpperCase());
});
client.on('socket close', () => process.exit(0));
client.connect({
    host: '127.0.0.1',
    port: Number(port),
    nick: 'web',
    username: 'web',
    gecos: 'Web Client',
    transport,
    auto_reconnect: false,
});
