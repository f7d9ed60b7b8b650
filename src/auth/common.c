/*
 * common.c - the usual words, and the rules that make passwords of them.
 */
#include "auth/common.h"

#include <ctype.h>
#include <string.h>

#define CHUNK_MIN    3 /* shorter ones are in every password */
#define CHUNKS_MAX   2 /* three words and more are a passphrase */
#define REST_MAX     5 /* digits and signs after them: "2024!" */
#define LEAD_MAX     2 /* signs before them */
#define ANALYSED_MAX 64
#define UNIT_MAX     6 /* of a repetition */

/* clang-format off */
static const char *const words[] = {
	"8675309", "aaaaaa", "abc", "access", "access14", "account", "admin",
	"administrator", "ahmed", "airforce", "aishwarya", "alex", "alexander",
	"alexandra", "alexandre", "alexis", "ali", "allah", "always", "amanda",
	"america", "american", "amigos", "amistad", "amor", "amour", "andrea",
	"andrew", "andrey", "android", "angel", "angelito", "angels",
	"anhyeuem", "ankara", "anonymous", "anthony", "apollo", "apple",
	"april", "argentina", "army", "arschloch", "arsenal", "asd", "asdasd",
	"ashley", "assassin", "asshole", "athena", "audi", "august", "austin",
	"australia", "autumn", "avengers", "azerbaijan", "babes", "baby",
	"babyboy", "babygirl", "backup", "bailey", "bambi", "banana", "bandung",
	"bank", "barbie", "barcelona", "barney", "bart", "baseball",
	"basketball", "batman", "bayern", "beach", "bear", "bears", "beatles",
	"beautiful", "beckham", "beer", "benfica", "benjamin", "berlin",
	"besiktas", "bestfriend", "beyonce", "bhagwan", "bharat", "bible",
	"bigboy", "bigdaddy", "bigdick", "bigdog", "bismillah", "bitch",
	"bitcoin", "black", "blah", "blahblah", "blessed", "blessing",
	"blink182", "blizzard", "blue", "blueberry", "bmw", "bond", "bonita",
	"bonjour", "boobs", "boston", "bradley", "brandon", "brasil", "braves",
	"brazil", "brian", "britney", "broncos", "brother", "buddy", "bullet",
	"bulls", "bullshit", "bunny", "business", "buster", "butterfly",
	"camaro", "cameron", "camille", "campeon", "canada", "candy", "captain",
	"carlos", "carolina", "carter", "cartman", "cash", "casper",
	"catherine", "celtics", "champion", "change", "changeme", "charles",
	"charlie", "chatgpt", "cheese", "chelsea", "cherry", "cheryl",
	"chevrolet", "chevy", "chicago", "chicken", "chile", "china", "chivas",
	"chloe", "chocolate", "chouchou", "chris", "christ", "christian",
	"christina", "christine", "christopher", "church", "ciao", "cielo",
	"cinta", "cipher", "cisco", "claude", "claudia", "cobra", "cocacola",
	"cock", "coffee", "cola", "college", "colombia", "company", "computer",
	"contrasena", "cookie", "cooper", "corazon", "corinthians", "corona",
	"corvette", "cosmos", "counterstrike", "covid", "cowboy", "cowboys",
	"crazy", "creative", "credit", "cristiano", "cryptic", "crypto",
	"crystal", "cubs", "cutie", "daddy", "dallas", "dance", "dancer",
	"dancing", "daniel", "daniela", "danielle", "darthvader", "database",
	"david", "davidson", "debbie", "debian", "december", "default", "delhi",
	"demo", "demon", "dennis", "devil", "dhoni", "diablo", "diamond",
	"diana", "dick", "digital", "dima", "dios", "docker", "doctor",
	"dodgers", "doggie", "doggy", "dollar", "dolphin", "dolphins", "donald",
	"donkey", "doraemon", "dorothy", "dortmund", "doudou", "dragon",
	"dragonball", "dragonfly", "drums", "duck", "eagle", "eagles", "earth",
	"edward", "einstein", "elephant", "elizabeth", "elmo", "elvis", "emily",
	"eminem", "england", "enter", "entrar", "eric", "estrella", "ethereum",
	"example", "express", "extreme", "facebook", "faith", "falcon",
	"familia", "family", "fantasy", "father", "february", "felicidad",
	"fenerbahce", "fernando", "ferrari", "ficken", "fire", "firefighter",
	"fireman", "fishing", "flamengo", "flower", "flowers", "football",
	"ford", "forest", "forever", "formula", "fortnite", "fortune", "france",
	"francis", "frank", "freedom", "friday", "friend", "friends",
	"friendship", "frodo", "fuck", "fuckoff", "fuckyou", "funny",
	"fussball", "futbol", "futurama", "future", "gabriel", "gabriela",
	"galatasaray", "galaxy", "gamer", "games", "gaming", "gandalf",
	"ganesh", "garfield", "gateway", "gatito", "geheim", "general",
	"genesis", "genius", "george", "gerald", "germany", "giants", "ginger",
	"github", "gitlab", "gladiator", "gmail", "god", "godisgood", "goku",
	"gold", "golden", "goldeneye", "golf", "golfer", "goober", "google",
	"gordon", "gorgeous", "grace", "green", "greenday", "gregory", "guest",
	"guitar", "gunner", "hacked", "hacker", "hacking", "hallo", "hallo123",
	"halo", "hamburg", "hammer", "hamster", "hannah", "hanuman", "happy",
	"hardcore", "hardrock", "harley", "harry", "hassan", "hawk", "heather",
	"heaven", "helen", "hell", "hello", "hellokitty", "hendrix", "henry",
	"hercules", "hermosa", "hero", "heroes", "hiphop", "hobbit", "hockey",
	"hola", "homer", "homerun", "honda", "honey", "hooters", "hope",
	"horny", "horse", "horses", "hotmail", "hottie", "houston", "hulk",
	"hunter", "hurricane", "iamgod", "iceman", "ilove", "iloveme", "iloveu",
	"iloveyou", "india", "india123", "indonesia", "infinity", "instagram",
	"inter", "internet", "intrepid", "iphone", "ireland", "ironman",
	"isabella", "islam", "island", "istanbul", "italia", "italy", "jackass",
	"jackie", "jackson", "jacob", "jaguar", "jakarta", "james", "jamesbond",
	"january", "japan", "jasmine", "jason", "jedi", "jeep", "jeffrey",
	"jenkins", "jennifer", "jeremy", "jessica", "jesucristo", "jesus",
	"jesuschrist", "jetaime", "joanna", "john", "johnny", "joker",
	"jonathan", "jordan", "jordan23", "joseph", "joshua", "julian",
	"julien", "july", "june", "junior", "jupiter", "justice", "justin",
	"juventus", "karen", "katherine", "kathleen", "kawasaki", "kelly",
	"kermit", "kevin", "khongbiet", "killer", "kimberly", "king", "kingdom",
	"kitten", "kitty", "knight", "knights", "koala", "kobe", "korn",
	"krasota", "krishna", "kristen", "lacrosse", "lakers", "lakota",
	"larry", "laura", "lauren", "lawyer", "lebron", "ledzeppelin", "legend",
	"legolas", "lemon", "leonard", "leopard", "leslie", "letmein",
	"liberty", "liebe", "lightning", "linda", "linkedin", "linkinpark",
	"linux", "lion", "lisa", "liverpool", "lizard", "lockdown", "login",
	"logitech", "london", "loser", "lottery", "louise", "loulou", "love",
	"lovely", "lover", "lovers", "loveyou", "lubov", "lucas", "lucky",
	"luigi", "madison", "madonna", "madrid", "maggie", "magic", "mahalko",
	"makkah", "maksim", "mama", "manager", "manchester", "mango", "manon",
	"maradona", "march", "marcus", "margaret", "maria", "marie", "marina",
	"marine", "mario", "mariposa", "mark", "marlboro", "marlon", "mars",
	"marseille", "martin", "martina", "marvel", "mary", "master",
	"mastercard", "matrix", "matthew", "mausi", "maverick", "maxwell",
	"megan", "melissa", "mercedes", "mercury", "merlin", "messi", "metal",
	"metallica", "mexican", "mexico", "michael", "michele", "michelle",
	"mickey", "mickeymouse", "microsoft", "midnight", "miguel", "milan",
	"million", "minecraft", "minnie", "minuted", "missile", "mohammed",
	"molly", "mommy", "monday", "money", "monica", "monkey", "monster",
	"montana", "moon", "morgan", "morning", "morpheus", "moscow",
	"motdepasse", "mother", "mountain", "muhammad", "mumbai", "munich",
	"music", "mustang", "mybaby", "mylove", "mypass", "mypassword",
	"myself", "myspace", "mysql", "naruto", "nascar", "natalie", "natasha",
	"nathalie", "nathan", "navy", "ncc1701", "nemo", "neo", "neptune",
	"network", "never", "newton", "newyork", "neymar", "nicholas",
	"nicolas", "nicole", "nikita", "ninja", "nintendo", "nipple", "nirvana",
	"nissan", "nokia", "nopassword", "nothing", "november", "nurse",
	"ocean", "october", "office", "oliver", "olivia", "omsairam", "openai",
	"opensesame", "openup", "operator", "oracle", "orange", "ou812",
	"packard", "packers", "pakistan", "paladin", "palmeiras", "pamela",
	"panda", "pandemic", "panther", "papa", "paris", "parker", "parol",
	"parola", "party", "pasaway", "pass", "pass1word", "passphrase",
	"passwd", "password", "passwort", "patricia", "patrick", "patriots",
	"paul", "paypal", "peace", "peach", "peaches", "peanut", "pele",
	"penguin", "pepper", "pepsi", "perrito", "peru", "peter", "phantom",
	"phillip", "phoenix", "piano", "pikachu", "pilot", "pink", "pirate",
	"pirates", "pizza", "platinum", "playboy", "player", "playstation",
	"pluto", "pokemon", "police", "pony", "pooh", "popcorn", "porn",
	"porsche", "porto", "portugal", "postgres", "prayer", "predator",
	"pretty", "prince", "princesa", "princesita", "princess", "private",
	"privet", "prodigy", "public", "pumas", "pumpkin", "puppy", "purple",
	"pussy", "qazwsx", "quarantine", "queen", "qwe", "qweqwe", "rabbit",
	"rachel", "racing", "raiders", "rainbow", "ranger", "rangers", "raven",
	"raymond", "realmadrid", "rebecca", "rebel", "red", "reddog", "redhead",
	"redsox", "redwings", "ricardo", "richard", "rihanna", "river",
	"robert", "roberto", "roblox", "rocket", "rocknroll", "rockstar",
	"rocky", "ronald", "ronaldinho", "ronaldo", "root", "rosebud", "rosie",
	"router", "running", "rush2112", "russell", "russia", "ryan", "sabrina",
	"sachin", "sairam", "sakura", "samantha", "sample", "samson", "samsung",
	"samurai", "sandman", "sandra", "santos", "saopaulo", "sarah", "sasuke",
	"satan", "saturday", "saturn", "savage", "sayang", "scarlet", "schalke",
	"schatz", "school", "scooby", "scooter", "scorpion", "scott",
	"sebastian", "secret", "security", "senha", "september", "sergey",
	"server", "service", "sesame", "sexy", "shadow", "shakira", "shark",
	"sharon", "shit", "shiva", "shrek", "sierra", "silver", "simba",
	"simone", "simple", "simpson", "simpsons", "sister", "skate", "sky",
	"skywalker", "slayer", "slick", "slipknot", "smile", "smiley", "snake",
	"sniper", "snoopy", "snowball", "snowflake", "snowman", "soccer",
	"softball", "soldier", "soleil", "solnce", "sommer", "sonic", "sonne",
	"sony", "sophie", "southpark", "spain", "spanky", "spartan", "speedy",
	"spider", "spiderman", "spirit", "spongebob", "sporting", "spring",
	"squirt", "stallion", "star", "starcraft", "stars", "startrek",
	"starwars", "steam", "steelers", "stella", "stephanie", "stephen",
	"steve", "steven", "stinky", "storm", "strawberry", "student", "stupid",
	"subaru", "success", "sugar", "summer", "sun", "sunday", "sunflower",
	"sunny", "sunrise", "sunset", "sunshine", "superman", "superstar",
	"supervisor", "support", "surfer", "surfing", "survivor", "susan",
	"suzuki", "sweet", "sweetheart", "sweetie", "sweety", "swimming",
	"swordfish", "sydney", "sylvia", "sysadmin", "system", "tamara",
	"taylor", "teacher", "teamo", "teddy", "temp", "temporary", "tennis",
	"tequiero", "tequila", "teresa", "tesla", "test", "tester", "testing",
	"tetris", "texas", "thepassword", "thomas", "thunder", "thunderbird",
	"thursday", "thx1138", "tiffany", "tiger", "tigger", "timothy",
	"titanic", "together", "together4ever", "topgun", "tornado", "tototo",
	"toyota", "travel", "trinity", "trouble", "trumpet", "trustme",
	"trustno1", "tucker", "tuesday", "tupac", "turbo", "turkiye", "turtle",
	"tweety", "twitter", "tyler", "ubuntu", "undertaker", "united",
	"universe", "unknown", "user", "vaccine", "vader", "valentina",
	"valentine", "valeria", "valhalla", "vampire", "vanessa", "vegeta",
	"venezuela", "venus", "veronica", "victoria", "viking", "vincent",
	"violet", "viper", "virat", "virginia", "visa", "vision", "vladimir",
	"vodka", "volkswagen", "volleyball", "voyager", "wachtwoord", "wallace",
	"walter", "warcraft", "warlock", "warrior", "warriors", "water",
	"weasel", "wednesday", "welcome", "wendy", "western", "whale",
	"whatever", "whiskey", "white", "wildcat", "wildcats", "william",
	"willow", "wilson", "wind", "windows", "windsurf", "winner", "winnie",
	"winter", "wireless", "wizard", "woaini", "wolf", "wolfpack",
	"wolverine", "wolves", "wonder", "word", "xavier", "xbox", "xyz",
	"yahoo", "yamaha", "yankee", "yankees", "yellow", "yellowstone", "yoda",
	"youtube", "zachary", "zaq", "zelda", "zeppelin", "zeus", "zidane",
	"zombie", "zxc", "zxcvbn", "zxczxc",
};

/* What fingers run along; either direction. */
static const char *const rows[] = {
	"qwertyuiop", "asdfghjkl", "zxcvbnm", "azertyuiop", "qsdfghjklm",
	"wxcvbn", "qwertzuiop", "yxcvbnm", "!@#$%^&*()",
	"1q2w3e4r5t6y7u8i9o0p", "q1w2e3r4t5y6u7i8o9p0",
	"1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
	"qazwsxedcrfvtgbyhnujmikolp", "1234567890", "abcdefghijklmnopqrstuvwxyz",
	"147258369", "789456123", "159753",
};

/* what is written for a letter */
static const char *const swaps[] = {
	"a@", "a4", "b8", "e3", "g9", "i1", "i!", "l1", "o0", "s$", "s5", "t7",
	"z2",
};
/* clang-format on */

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool
is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (unsigned char)c >= 0x80;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* c stands for the letter of a word. */
static bool
stands_for(char c, char letter)
{
	if (c == letter)
		return true;
	for (size_t i = 0; i < COUNT(swaps); i++) {
		if (swaps[i][0] == letter && swaps[i][1] == c)
			return true;
	}
	return false;
}

static size_t
word_at(const char *text, size_t len)
{
	size_t best = 0;

	for (size_t i = 0; i < COUNT(words); i++) {
		size_t n = 0;

		while (n < len && words[i][n] != '\0' &&
		       stands_for(text[n], words[i][n]))
			n++;
		if (words[i][n] == '\0' && n > best)
			best = n;
	}
	return best;
}

static size_t
same_at(const char *text, size_t len)
{
	size_t n = 1;

	while (n < len && text[n] == text[0])
		n++;
	return n;
}

/* How far text goes along row from start, by step 1 or -1. */
static size_t
along(const char *text, size_t len, const char *start, ptrdiff_t left, int step)
{
	size_t n = 0;

	while (n < len && left-- > 0 && text[n] == *start) {
		n++;
		if (left > 0)
			start += step;
	}
	return n;
}

static size_t
run_at(const char *text, size_t len)
{
	size_t best = 0;

	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *start = strchr(rows[i], text[0]);
		ptrdiff_t before;
		size_t n;

		if (start == NULL)
			continue;
		before = start - rows[i];
		n = along(text, len, start, (ptrdiff_t)strlen(rows[i]) - before,
		    1);
		if (n > best)
			best = n;
		n = along(text, len, start, before + 1, -1);
		if (n > best)
			best = n;
	}
	return best;
}

/* The longest usual piece at text; 0 when there is none. */
static size_t
chunk_at(const char *text, size_t len)
{
	size_t best = word_at(text, len);
	size_t n = same_at(text, len);

	if (n > best)
		best = n;
	n = run_at(text, len);
	if (n > best)
		best = n;
	return best < CHUNK_MIN ? 0 : best;
}

/* One or two usual pieces, then at most a few digits or signs. */
static bool
is_pieces(const char *text, size_t len)
{
	size_t chunks = 0;
	size_t n = chunk_at(text, len);

	while (n > 0 && chunks < CHUNKS_MAX) {
		text += n;
		len -= n;
		chunks++;
		n = len > 0 ? chunk_at(text, len) : 0;
	}
	if (chunks == 0 || len > REST_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (is_letter(text[i]))
			return false;
	}
	return true;
}

static bool
is_repeated(const char *text, size_t len)
{
	for (size_t unit = 1; unit <= UNIT_MAX && unit * 2 <= len; unit++) {
		if (memcmp(text, text + unit, len - unit) == 0)
			return true;
	}
	return false;
}

static int
two_digits(const char *text)
{
	return (text[0] - '0') * 10 + (text[1] - '0');
}

static bool
is_day_and_month(const char *text)
{
	int a = two_digits(text);
	int b = two_digits(text + 2);

	return (a >= 1 && a <= 31 && b >= 1 && b <= 12) ||
	       (a >= 1 && a <= 12 && b >= 1 && b <= 31);
}

static bool
is_year(const char *text)
{
	return two_digits(text) == 19 || two_digits(text) == 20;
}

/* 19901225, 25121990, 12251990 */
static bool
is_date(const char *text, size_t len)
{
	if (len != 8)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!is_digit(text[i]))
			return false;
	}
	return (is_year(text) && is_day_and_month(text + 4)) ||
	       (is_day_and_month(text) && is_year(text + 4));
}

bool
common_password(const char *password, size_t len)
{
	char text[ANALYSED_MAX] = "";
	size_t lead = 0;

	if (is_repeated(password, len))
		return true;
	if (len > sizeof(text))
		return false;
	for (size_t i = 0; i < len; i++)
		text[i] = (char)tolower((unsigned char)password[i]);
	if (is_date(text, len) || is_pieces(text, len))
		return true;
	while (lead < LEAD_MAX && lead < len && !is_letter(text[lead]))
		lead++;
	return lead > 0 && lead < len && is_pieces(text + lead, len - lead);
}
