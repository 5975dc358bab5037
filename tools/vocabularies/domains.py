"""What the grammars of single domains are about, and the words that the project wrote itself."""

from dataclasses import dataclass

from rldf_gym.grammar.builders import Vocabulary
from rldf_gym.grammar.builders.lark_file import Sentence


@dataclass(frozen=True)
class Domain:
    """One field of life.

    Attributes:
        name: The grammar's name.
        about: What it holds, in a few words.
        synsets: The parts of WordNet's tree that its nouns come from.
        scenes: Where they are, as `plain_places` writes them.
    """

    name: str
    about: str
    synsets: tuple[str, ...]
    scenes: tuple[str, ...]


def _scenes(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(","))


DOMAINS = (
    Domain(
        "agriculture",
        "livestock, crops, machines and buildings of farms",
        (
            "livestock.n.01",
            "bovine.n.01",
            "sheep.n.01",
            "goat.n.01",
            "swine.n.01",
            "equine.n.01",
            "poultry.n.02",
            "farm_machine.n.01",
            "tractor.n.01",
            "garden_tool.n.01",
            "farm_building.n.01",
            "produce.n.01",
            "cereal.n.01",
            "grain.n.02",
        ),
        _scenes(
            "farm, barn, stable, corral, pasture, hayfield, corn field, wheat field, rice paddy,"
            " cultivated field, wild field, orchard, vineyard, vegetable garden,"
            " indoor greenhouse, tree farm, village, fishpond, outdoor market"
        ),
    ),
    Domain(
        "botany",
        "plants, flowers, fruit and fungi",
        ("plant.n.02", "flower.n.01", "fruit.n.01", "fungus.n.01", "vegetable.n.01"),
        _scenes(
            "botanical garden, formal garden, zen garden, vegetable garden, roof garden,"
            " topiary garden, indoor greenhouse, orchard, vineyard, broadleaf forest,"
            " needleleaf forest, bamboo forest, rainforest, wild field, marsh, swamp, tundra,"
            " sand desert, vegetation desert, mountain, park, lawn, indoor florist shop"
        ),
    ),
    Domain(
        "clothing",
        "garments, footwear, headdress and accessories",
        (
            "clothing.n.01",
            "footwear.n.02",
            "headdress.n.01",
            "jewelry.n.01",
            "neckwear.n.01",
            "handwear.n.01",
            "bag.n.04",
            "spectacles.n.01",
        ),
        _scenes(
            "clothing store, shoe shop, hat shop, jewelry shop, department store, dressing room,"
            " fitting room, closet, laundromat, bedroom, locker room, street, downtown, park,"
            " beach, office, ballroom, ski slope, portrait studio"
        ),
    ),
    Domain(
        "retail",
        "goods and groceries in shops",
        (
            "consumer_goods.n.01",
            "foodstuff.n.02",
            "baked_goods.n.01",
            "produce.n.01",
            "beverage.n.01",
            "toiletry.n.01",
            "plaything.n.01",
            "home_appliance.n.01",
            "kitchen_utensil.n.01",
            "electronic_device.n.01",
        ),
        _scenes(
            "supermarket, department store, shopping mall, indoor general store, candy store,"
            " bakery, delicatessen, butcher's shop, pharmacy, drugstore, bookstore,"
            " hardware store, gift shop, toyshop, pet shop, shoe shop, clothing store,"
            " liquor store, indoor market, outdoor market, flea market, thriftshop, warehouse"
        ),
    ),
    Domain(
        "sports",
        "equipment and games",
        (
            "sports_equipment.n.01",
            "game_equipment.n.01",
            "ball.n.01",
            "athletic_wear.n.01",
            "bicycle.n.01",
            "sled.n.01",
            "surfboard.n.01",
            "swimsuit.n.01",
        ),
        _scenes(
            "baseball field, football field, soccer field, golf course, outdoor athletic field,"
            " indoor basketball court, outdoor basketball court, outdoor tennis court,"
            " outdoor volleyball court, squash court, badminton court, gymnasium,"
            " martial arts gym, boxing ring, bowling alley, hockey arena, rodeo arena,"
            " indoor ice skating rink, ski slope, ski resort, skatepark, indoor swimming pool,"
            " outdoor swimming pool, baseball stadium, football stadium, racecourse, beach, ocean"
        ),
    ),
    Domain(
        "transport",
        "vehicles on land, on water and in the air",
        ("vehicle.n.01", "public_transport.n.01"),
        _scenes(
            "street, highway, crosswalk, driveway, parking lot, indoor parking garage,"
            " gas station, toll plaza, desert road, forest road, field road, bridge, viaduct,"
            " railroad track, train station, subway station, bus station, airfield, runway,"
            " outdoor hangar, heliport, harbor, pier, river, ocean, urban canal, sky,"
            " construction site, auto showroom, repair shop"
        ),
    ),
    Domain(
        "zoology",
        "animals of all kinds",
        ("animal.n.01",),
        _scenes(
            "wild field, pasture, farm, stable, indoor kennel, chicken coop, aquarium, pet shop,"
            " broadleaf forest, needleleaf forest, rainforest, bamboo forest, tundra, snowfield,"
            " ice floe, sand desert, vegetation desert, badlands, mountain, cliff, marsh, swamp,"
            " pond, lake, river, coast, beach, ocean, deep ocean, sky, park, yard, living room"
        ),
    ),
)

CITIES = Vocabulary(
    "city",
    (
        Vocabulary("europe", ("Lisbon", "London", "Paris", "Berlin", "Rome", "Athens", "Kyiv")),
        Vocabulary("africa", ("Cairo", "Lagos", "Accra", "Nairobi", "Kinshasa", "Cape Town")),
        Vocabulary("asia", ("Istanbul", "Tehran", "Dubai", "Mumbai", "Dhaka", "Bangkok")),
        Vocabulary("east_asia", ("Jakarta", "Manila", "Shanghai", "Beijing", "Seoul", "Tokyo")),
        Vocabulary("oceania", ("Sydney", "Auckland", "Suva")),
        Vocabulary("south_america", ("Lima", "Santiago", "Buenos Aires", "São Paulo", "Bogotá")),
        Vocabulary("north_america", ("Mexico City", "Havana", "New York", "Toronto", "Honolulu")),
    ),
    "Where; neighbours in the list are neighbours on the map.",
)

DIVERSITY: Sentence = (
    "a photo of a ",
    Vocabulary(
        "emotion",
        ("happy", "surprised", "calm", "thoughtful", "sad", "afraid", "disgusted", "angry"),
        "From the most pleasant to the least.",
    ),
    " ",
    Vocabulary("age", ("very young", "teenage", "young adult", "middle-aged", "elderly")),
    " ",
    Vocabulary(
        "race",
        (
            "Black",
            "Middle Eastern",
            "South Asian",
            "Southeast Asian",
            "East Asian",
            "Pacific Islander",
            "Indigenous American",
            "Hispanic",
            "White",
        ),
        "For images with people from all over the world, as in the paper.",
    ),
    " ",
    Vocabulary("gender", ("woman", "nonbinary person", "man")),
    " with a ",
    Vocabulary(
        "colour",
        (
            "white",
            "grey",
            "black",
            "brown",
            "red",
            "pink",
            "purple",
            "blue",
            "green",
            "yellow",
            "orange",
        ),
        "Berlin and Kay's eleven basic colours, those without a hue first.",
    ),
    " ",
    Vocabulary("noun", ("umbrella",), "One object: write your own here."),
    " in ",
    CITIES,
    " on a ",
)
