"""The text front door: plain lines from nc, telnet or openssl s_client."""
