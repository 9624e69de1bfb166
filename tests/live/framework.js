// A web client's library, irc-framework, on a WebSocket: it comes into a room, says what it hears there
// in letters behind each other, and ends when it is told to. Every event that matters is a line on
// standard output.
'use strict';

const IRC = require('irc-framework');
globalThis.WebSocket = require('ws');
const transport = require('irc-framework/src/transports/websocket');

const [, , port] = process.argv;
const client = new IRC.Client();

function tell(...words) {
    process.stdout.write(words.join(' ') + '\n');
}

client.on('registered', () => {
    tell('registered', client.user.nick);
    client.join('#tea');
});
client.on('join', event => tell('join', event.nick, event.channel, client.network.name));
client.on('topic', event => tell('topic', event.channel, event.topic));
client.on('userlist', event => tell('userlist', event.users.map(user => user.nick).sort().join(',')));
client.on('message', event => {
    tell(event.type, event.nick, event.target, event.message, event.time ? 'timed' : 'untimed');
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
