"""Numerics by name, and their constant texts.

Source: the Modern IRC Client Protocol (https://modern.ircdocs.horse/#numerics), or the document
named beside a number. https://defs.ircdocs.horse/ lists other uses of a number.
"""

from __future__ import annotations

# --- registration ---

RPL_WELCOME = "001"
RPL_YOURHOST = "002"
RPL_CREATED = "003"
RPL_MYINFO = "004"
RPL_ISUPPORT = "005"

# --- STATS ---

RPL_STATSCOMMANDS = "212"
RPL_ENDOFSTATS = "219"
RPL_STATSUPTIME = "242"

# --- LUSERS ---

RPL_LUSERCLIENT = "251"
RPL_LUSEROP = "252"
RPL_LUSERUNKNOWN = "253"
RPL_LUSERCHANNELS = "254"
RPL_LUSERME = "255"
RPL_LOCALUSERS = "265"
RPL_GLOBALUSERS = "266"

# --- about the server ---

RPL_ADMINME = "256"
RPL_ADMINLOC1 = "257"
RPL_ADMINLOC2 = "258"
RPL_ADMINEMAIL = "259"
RPL_VERSION = "351"
RPL_LINKS = "364"
RPL_ENDOFLINKS = "365"
RPL_INFO = "371"
RPL_MOTD = "372"
RPL_ENDOFINFO = "374"
RPL_MOTDSTART = "375"
RPL_ENDOFMOTD = "376"
RPL_TIME = "391"
RPL_USERSSTART = "392"  # the texts of USERS: RFC 2812 section 4.6
RPL_USERS = "393"
RPL_ENDOFUSERS = "394"
RPL_NOUSERS = "395"
RPL_HELPSTART = "704"
RPL_HELPTXT = "705"
RPL_ENDOFHELP = "706"

# --- about people ---

RPL_AWAY = "301"
RPL_USERHOST = "302"
RPL_ISON = "303"
RPL_UNAWAY = "305"
RPL_NOWAWAY = "306"
RPL_WHOISCERTFP = "276"
RPL_WHOISREGNICK = "307"
RPL_WHOISUSER = "311"
RPL_WHOISSERVER = "312"
RPL_WHOISOPERATOR = "313"
RPL_WHOWASUSER = "314"
RPL_WHOISIDLE = "317"
RPL_ENDOFWHOIS = "318"
RPL_WHOISCHANNELS = "319"
RPL_WHOISSPECIAL = "320"
RPL_WHOISACCOUNT = "330"
RPL_WHOISBOT = "335"  # https://ircv3.net/specs/extensions/bot-mode
RPL_WHOISACTUALLY = "338"
RPL_ENDOFWHOWAS = "369"
RPL_WHOISHOST = "378"
RPL_WHOISMODES = "379"
RPL_WHOISSECURE = "671"
RPL_ENDOFWHO = "315"
RPL_WHOREPLY = "352"
RPL_WHOSPCRPL = "354"  # https://ircv3.net/specs/extensions/whox

# --- about rooms ---

RPL_LISTSTART = "321"
RPL_LIST = "322"
RPL_LISTEND = "323"
RPL_NOTOPIC = "331"
RPL_TOPIC = "332"
RPL_TOPICWHOTIME = "333"
RPL_INVITELIST = "336"
RPL_ENDOFINVITELIST = "337"
RPL_INVITING = "341"
RPL_NAMREPLY = "353"
RPL_ENDOFNAMES = "366"

# --- modes ---

RPL_UMODEIS = "221"
RPL_CHANNELMODEIS = "324"
RPL_CREATIONTIME = "329"
RPL_INVEXLIST = "346"
RPL_ENDOFINVEXLIST = "347"
RPL_EXCEPTLIST = "348"
RPL_ENDOFEXCEPTLIST = "349"
RPL_BANLIST = "367"
RPL_ENDOFBANLIST = "368"

# --- operators of the server ---

RPL_YOUREOPER = "381"
RPL_REHASHING = "382"

# --- MONITOR: https://ircv3.net/specs/extensions/monitor ---

RPL_MONONLINE = "730"
RPL_MONOFFLINE = "731"
RPL_MONLIST = "732"
RPL_ENDOFMONLIST = "733"
ERR_MONLISTFULL = "734"

# --- errors ---

RPL_TRYAGAIN = "263"
ERR_UNKNOWNERROR = "400"
ERR_NOSUCHNICK = "401"
ERR_NOSUCHSERVER = "402"
ERR_NOSUCHCHANNEL = "403"
ERR_CANNOTSENDTOCHAN = "404"
ERR_TOOMANYCHANNELS = "405"
ERR_WASNOSUCHNICK = "406"
ERR_TOOMANYTARGETS = "407"
ERR_NOORIGIN = "409"
ERR_INVALIDCAPCMD = "410"  # https://ircv3.net/specs/extensions/capability-negotiation
ERR_NORECIPIENT = "411"
ERR_NOTEXTTOSEND = "412"
ERR_TOOMANYMATCHES = "416"  # https://defs.ircdocs.horse/defs/numerics.html
ERR_INPUTTOOLONG = "417"
ERR_UNKNOWNCOMMAND = "421"
ERR_NOMOTD = "422"
ERR_NOADMININFO = "423"
ERR_NONICKNAMEGIVEN = "431"
ERR_ERRONEUSNICKNAME = "432"
ERR_NICKNAMEINUSE = "433"
ERR_NICKCOLLISION = "436"
ERR_USERNOTINCHANNEL = "441"
ERR_NOTONCHANNEL = "442"
ERR_USERONCHANNEL = "443"
ERR_USERSDISABLED = "446"
ERR_NOTREGISTERED = "451"
ERR_NEEDMOREPARAMS = "461"
ERR_ALREADYREGISTERED = "462"
ERR_PASSWDMISMATCH = "464"
ERR_YOUREBANNEDCREEP = "465"
ERR_INVALIDUSERNAME = "468"
ERR_CHANNELISFULL = "471"
ERR_UNKNOWNMODE = "472"
ERR_INVITEONLYCHAN = "473"
ERR_BANNEDFROMCHAN = "474"
ERR_BADCHANNELKEY = "475"
ERR_BADCHANMASK = "476"
ERR_BANLISTFULL = "478"
ERR_NOPRIVILEGES = "481"
ERR_CHANOPRIVSNEEDED = "482"
ERR_CANTKILLSERVER = "483"
ERR_NOOPERHOST = "491"
ERR_UMODEUNKNOWNFLAG = "501"
ERR_USERSDONTMATCH = "502"
ERR_HELPNOTFOUND = "524"
ERR_INVALIDKEY = "525"
ERR_INVALIDMODEPARAM = "696"
ERR_NOPRIVS = "723"

#: Constant last parameters of numerics, for people: "Clients SHOULD NOT rely on these sort of
#: parameters to have exactly the same human-readable string".
TEXT = {
    RPL_ISUPPORT: "are supported by this server",
    RPL_ENDOFSTATS: "End of /STATS report",
    RPL_LUSEROP: "operator(s) online",
    RPL_LUSERUNKNOWN: "unknown connection(s)",
    RPL_LUSERCHANNELS: "channels formed",
    RPL_ADMINME: "Administrative info",
    RPL_ENDOFLINKS: "End of /LINKS list",
    RPL_ENDOFINFO: "End of INFO list",
    RPL_ENDOFMOTD: "End of /MOTD command.",
    RPL_USERSSTART: "UserID   Terminal  Host",
    RPL_ENDOFUSERS: "End of users",
    RPL_NOUSERS: "Nobody logged in",
    RPL_UNAWAY: "You are no longer marked as being away",
    RPL_NOWAWAY: "You have been marked as being away",
    RPL_WHOISREGNICK: "has identified for this nick",
    RPL_WHOISOPERATOR: "is an IRC operator",
    RPL_WHOISIDLE: "seconds idle, signon time",
    RPL_ENDOFWHOIS: "End of /WHOIS list",
    RPL_WHOISACCOUNT: "is logged in as",
    RPL_WHOISACTUALLY: "Is actually using host",
    RPL_ENDOFWHOWAS: "End of WHOWAS",
    RPL_WHOISSECURE: "is using a secure connection",
    RPL_ENDOFWHO: "End of WHO list",
    RPL_LISTSTART: "Users  Name",
    RPL_LISTEND: "End of /LIST",
    RPL_NOTOPIC: "No topic is set",
    RPL_ENDOFINVITELIST: "End of /INVITE list",
    RPL_ENDOFNAMES: "End of /NAMES list",
    RPL_ENDOFINVEXLIST: "End of Channel Invite Exception List",
    RPL_ENDOFEXCEPTLIST: "End of channel exception list",
    RPL_ENDOFBANLIST: "End of channel ban list",
    RPL_YOUREOPER: "You are now an IRC operator",
    RPL_REHASHING: "Rehashing",
    RPL_ENDOFMONLIST: "End of MONITOR list",
    ERR_MONLISTFULL: "Monitor list is full.",
    RPL_TRYAGAIN: "Please wait a while and try again.",
    ERR_NOSUCHNICK: "No such nick/channel",
    ERR_NOSUCHSERVER: "No such server",
    ERR_NOSUCHCHANNEL: "No such channel",
    ERR_CANNOTSENDTOCHAN: "Cannot send to channel",
    ERR_TOOMANYCHANNELS: "You have joined too many channels",
    ERR_WASNOSUCHNICK: "There was no such nickname",
    ERR_NOORIGIN: "No origin specified",
    ERR_INVALIDCAPCMD: "Invalid CAP command",
    ERR_NOTEXTTOSEND: "No text to send",
    ERR_TOOMANYMATCHES: "The list is too long; only its beginning was sent",
    ERR_INPUTTOOLONG: "Input line was too long",
    ERR_UNKNOWNCOMMAND: "Unknown command",
    ERR_NOMOTD: "MOTD File is missing",
    ERR_NOADMININFO: "No administrative info available",  # RFC 2812 section 5.2
    ERR_NONICKNAMEGIVEN: "No nickname given",
    ERR_ERRONEUSNICKNAME: "Erroneus nickname",
    ERR_NICKNAMEINUSE: "Nickname is already in use",
    ERR_USERNOTINCHANNEL: "They aren't on that channel",
    ERR_NOTONCHANNEL: "You're not on that channel",
    ERR_USERONCHANNEL: "is already on channel",
    ERR_USERSDISABLED: "USERS has been disabled",  # RFC 2812 section 5.2
    ERR_NOTREGISTERED: "You have not registered",
    ERR_NEEDMOREPARAMS: "Not enough parameters",
    ERR_ALREADYREGISTERED: "You may not reregister",
    ERR_PASSWDMISMATCH: "Password incorrect",
    ERR_YOUREBANNEDCREEP: "You are banned from this server.",
    ERR_INVALIDUSERNAME: "Your username is not valid",
    ERR_CHANNELISFULL: "Cannot join channel (+l)",
    ERR_UNKNOWNMODE: "is unknown mode char to me",
    ERR_INVITEONLYCHAN: "Cannot join channel (+i)",
    ERR_BANNEDFROMCHAN: "Cannot join channel (+b)",
    ERR_BADCHANNELKEY: "Cannot join channel (+k)",
    ERR_BADCHANMASK: "Bad Channel Mask",
    ERR_BANLISTFULL: "Channel list is full",  # RFC 2812 section 5.2
    ERR_NOPRIVILEGES: "Permission Denied- You're not an IRC operator",
    ERR_CHANOPRIVSNEEDED: "You're not channel operator",
    ERR_CANTKILLSERVER: "You cant kill a server!",
    ERR_NOOPERHOST: "No O-lines for your host",
    ERR_UMODEUNKNOWNFLAG: "Unknown MODE flag",
    ERR_USERSDONTMATCH: "Cant change mode for other users",
    ERR_HELPNOTFOUND: "No help available on this topic",
    ERR_INVALIDKEY: "Key is not well-formed",
    ERR_NOPRIVS: "Insufficient oper privileges.",
}
