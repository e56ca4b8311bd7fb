"""The kinds of product the demo shop sells: category, pack shape, flavours, sizes and price."""

from dataclasses import dataclass

RIBBONS = ("Organic", "New", "Family", "Classic", "Fair trade")
CARE_RIBBONS = ("Vegan", "New", "Family", "Sensitive", "Refill")


@dataclass(frozen=True)
class Size:
    """Printed size, the pack's relative height (1 = largest of its kind) and a price factor."""

    text: str
    scale: float
    price: float


@dataclass(frozen=True)
class Kind:
    """A kind of product; `price` is that of the first size, in euros."""

    code: str
    noun: str
    category: str
    shape: str
    flavours: tuple[str, ...]
    sizes: tuple[Size, ...]
    price: float


def _kind(
    code: str, noun: str, category: str, shape: str, flavours: str, sizes: str, price: float
) -> Kind:
    scales = (0.86, 0.94, 1.0)
    factors = (1.0, 1.6, 2.3)
    names = sizes.split("|")
    steps = tuple(
        Size(text, scales[i + 3 - len(names)], factors[i]) for i, text in enumerate(names)
    )
    return Kind(code, noun, category, shape, tuple(flavours.split("|")), steps, price)


# fmt: off
KINDS: tuple[Kind, ...] = (
    _kind("JU", "Juice", "Drinks > Juice", "bottle",
          "Orange|Apple|Grapefruit|Cherry|Pineapple|Red Grape|Mango|Tomato",
          "330 ml|750 ml|1 l", 1.89),
    _kind("NE", "Nectar", "Drinks > Juice", "carton",
          "Peach|Mango|Banana|Blueberry|Orange|Plum|Kiwi|Raspberry", "500 ml|1 l", 1.59),
    _kind("SO", "Soda", "Drinks > Soft drinks", "can",
          "Cola|Lemon|Orange|Ginger|Lime|Cherry|Grapefruit", "330 ml|500 ml", 0.89),
    _kind("EN", "Energy", "Drinks > Soft drinks", "slimcan",
          "Lime|Mango|Raspberry|Coconut|Blueberry|Peach", "250 ml|355 ml", 1.29),
    _kind("WA", "Spring Water", "Drinks > Water", "water",
          "Still|Sparkling|Natural|Lemon|Mint", "500 ml|750 ml|1.5 l", 0.59),
    _kind("IT", "Iced Tea", "Drinks > Tea", "bottle",
          "Peach|Lemon|Green Tea|Raspberry|Mint|Black Tea", "500 ml|1.25 l", 1.39),
    _kind("BE", "Beer", "Drinks > Beer", "beer",
          "Lager|Amber Ale|Pale Ale|Stout|Cherry", "330 ml|500 ml", 1.19),
    _kind("OI", "Oil", "Pantry > Oil", "oil",
          "Olive|Chilli|Basil|Lemon|Hazelnut", "250 ml|500 ml|750 ml", 5.49),
    _kind("JA", "Jam", "Pantry > Spreads", "jar",
          "Strawberry|Raspberry|Cherry|Blueberry|Orange|Plum|Blackberry|Peach",
          "220 g|340 g|450 g", 2.49),
    _kind("HO", "Honey", "Pantry > Spreads", "roundjar",
          "Honey|Acacia|Forest|Lavender|Lime", "250 g|500 g", 4.29),
    _kind("SP", "Spread", "Pantry > Spreads", "widejar",
          "Hazelnut|Peanut|Chocolate|Almond|Cashew|White Chocolate|Caramel",
          "200 g|350 g|700 g", 3.19),
    _kind("TI", "Tinned {}", "Pantry > Preserves", "tin",
          "Tomato|Sweetcorn|Chickpea|Red Bean|Peach|Pineapple|Olive", "200 g|400 g|800 g", 0.99),
    _kind("FI", "Fillets", "Pantry > Fish", "lowtin",
          "Tuna|Salmon|Sardine", "80 g|160 g|200 g", 2.19),
    _kind("CE", "Flakes", "Breakfast > Cereals", "tallbox",
          "Honey|Chocolate|Strawberry|Wheat|Oat|Coconut|Banana", "300 g|500 g|750 g", 2.99),
    _kind("TE", "Tea", "Drinks > Tea", "teabox",
          "Green Tea|Black Tea|Mint|Jasmine|Lemon|Lavender|Rose", "20 bags|40 bags", 2.29),
    _kind("BI", "Biscuits", "Snacks > Biscuits", "widebox",
          "Chocolate|Vanilla|Hazelnut|Lemon|Coconut|Oat|Caramel", "150 g|300 g", 1.79),
    _kind("CB", "Bar", "Snacks > Chocolate", "bar",
          "Dark Chocolate|Chocolate|White Chocolate|Hazelnut|Almond|Orange|Sea Salt|Mint",
          "100 g|180 g", 1.49),
    _kind("CH", "Chips", "Snacks > Crisps", "pillow",
          "Sea Salt|Paprika|Cheese|Onion|Chilli|Lime", "90 g|175 g|250 g", 1.69),
    _kind("CO", "Coffee", "Drinks > Coffee", "pouch",
          "Espresso|Arabica|Decaf|Hazelnut|Vanilla|Caramel", "250 g|500 g|1 kg", 5.99),
    _kind("NU", "Nut Mix", "Snacks > Nuts", "pouch",
          "Almond|Cashew|Peanut|Hazelnut|Coconut|Cherry", "125 g|200 g|400 g", 2.79),
    _kind("SH", "Shampoo", "Care > Hair", "shampoo",
          "Aloe|Coconut|Lavender|Rose|Mint|Apple|Vanilla", "250 ml|400 ml", 3.49),
    _kind("HS", "Hand Soap", "Care > Soap", "pump",
          "Lemon|Lavender|Aloe|Rose|Olive|Cucumber|Almond", "250 ml|500 ml", 2.09),
    _kind("YO", "Yogurt", "Chilled > Yogurt", "tub",
          "Strawberry|Blueberry|Peach|Vanilla|Coconut|Natural|Cherry", "150 g|400 g|500 g", 0.79),
    _kind("MU", "Muesli", "Breakfast > Cereals", "pillow",
          "Red Apple|Hazelnut|Chocolate|Raspberry|Oat|Honey", "375 g|750 g", 3.29),
)
# fmt: on
