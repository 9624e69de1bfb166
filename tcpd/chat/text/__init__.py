"""The text frontend: plain lines from nc, telnet or openssl s_client."""
