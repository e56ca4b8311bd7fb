"""What the products taste or smell of: a colour and the thing drawn on the label for each."""

from dataclasses import dataclass

RGB = tuple[int, int, int]


@dataclass(frozen=True)
class Flavour:
    """One flavour: label colour (8-bit RGB), motif drawn on the label, and the motif's colour."""

    colour: RGB
    motif: str
    motif_colour: RGB


FLAVOURS: dict[str, Flavour] = {
    "Orange": Flavour((242, 138, 20), "citrus", (245, 140, 22)),
    "Lemon": Flavour((240, 200, 24), "citrus", (248, 212, 40)),
    "Lime": Flavour((128, 182, 40), "citrus", (140, 192, 60)),
    "Grapefruit": Flavour((232, 96, 92), "citrus", (238, 104, 96)),
    "Apple": Flavour((116, 170, 46), "round", (150, 196, 60)),
    "Red Apple": Flavour((190, 34, 44), "round", (200, 40, 46)),
    "Peach": Flavour((246, 158, 104), "round", (248, 164, 96)),
    "Plum": Flavour((98, 44, 112), "round", (104, 48, 120)),
    "Tomato": Flavour((206, 46, 34), "tomato", (218, 52, 38)),
    "Cherry": Flavour((166, 16, 48), "cherry", (182, 20, 48)),
    "Strawberry": Flavour((222, 40, 66), "strawberry", (226, 44, 58)),
    "Raspberry": Flavour((214, 38, 106), "berry", (216, 44, 100)),
    "Blackberry": Flavour((74, 34, 84), "berry", (66, 34, 78)),
    "Blueberry": Flavour((62, 82, 168), "grapes", (70, 88, 166)),
    "Red Grape": Flavour((112, 28, 82), "grapes", (118, 32, 84)),
    "White Grape": Flavour((164, 176, 70), "grapes", (176, 192, 84)),
    "Mango": Flavour((246, 166, 30), "round", (248, 172, 52)),
    "Banana": Flavour((246, 210, 70), "banana", (248, 214, 72)),
    "Pineapple": Flavour((228, 176, 30), "pineapple", (232, 176, 44)),
    "Coconut": Flavour((120, 88, 66), "coconut", (112, 78, 54)),
    "Kiwi": Flavour((124, 158, 48), "kiwi", (142, 180, 60)),
    "Mint": Flavour((36, 150, 112), "leaf", (48, 164, 104)),
    "Vanilla": Flavour((236, 214, 150), "flower", (250, 238, 200)),
    "Rose": Flavour((216, 112, 142), "flower", (226, 110, 146)),
    "Lavender": Flavour((140, 112, 182), "flower", (150, 120, 196)),
    "Jasmine": Flavour((116, 168, 150), "flower", (250, 250, 244)),
    "Green Tea": Flavour((104, 142, 62), "leaf", (108, 152, 62)),
    "Black Tea": Flavour((92, 46, 30), "leaf", (96, 92, 44)),
    "Basil": Flavour((44, 118, 54), "leaf", (52, 132, 60)),
    "Aloe": Flavour((86, 174, 120), "leaf", (96, 184, 128)),
    "Chocolate": Flavour((92, 52, 34), "squares", (98, 56, 36)),
    "Dark Chocolate": Flavour((54, 32, 28), "squares", (62, 36, 28)),
    "White Chocolate": Flavour((222, 200, 158), "squares", (240, 224, 188)),
    "Caramel": Flavour((198, 122, 46), "drop", (206, 128, 48)),
    "Hazelnut": Flavour((156, 98, 52), "nuts", (170, 108, 60)),
    "Almond": Flavour((192, 140, 88), "nuts", (196, 140, 88)),
    "Peanut": Flavour((214, 162, 84), "nuts", (218, 168, 96)),
    "Cashew": Flavour((226, 196, 140), "nuts", (232, 204, 150)),
    "Espresso": Flavour((60, 36, 28), "beans", (86, 50, 32)),
    "Arabica": Flavour((136, 66, 34), "beans", (112, 66, 40)),
    "Decaf": Flavour((62, 112, 128), "beans", (120, 76, 50)),
    "Wheat": Flavour((212, 166, 72), "wheat", (216, 170, 76)),
    "Oat": Flavour((200, 176, 128), "wheat", (204, 178, 124)),
    "Rye": Flavour((132, 90, 52), "wheat", (146, 100, 58)),
    "Honey": Flavour((232, 160, 24), "honeycomb", (240, 174, 40)),
    "Acacia": Flavour((246, 204, 96), "honeycomb", (248, 206, 92)),
    "Forest": Flavour((66, 92, 52), "honeycomb", (150, 88, 28)),
    "Sea Salt": Flavour((64, 132, 184), "crystals", (214, 232, 244)),
    "Paprika": Flavour((196, 44, 28), "chilli", (206, 44, 30)),
    "Chilli": Flavour((152, 20, 22), "chilli", (210, 26, 26)),
    "Cheese": Flavour((246, 188, 36), "cheese", (248, 198, 62)),
    "Onion": Flavour((116, 152, 66), "rings", (206, 190, 222)),
    "Olive": Flavour((110, 116, 44), "olives", (122, 128, 52)),
    "Cucumber": Flavour((70, 138, 66), "kiwi", (170, 206, 128)),
    "Beetroot": Flavour((124, 20, 64), "round", (136, 26, 72)),
    "Chickpea": Flavour((214, 178, 104), "nuts", (222, 188, 118)),
    "Red Bean": Flavour((134, 30, 34), "beans", (138, 36, 38)),
    "Sweetcorn": Flavour((240, 196, 40), "corn", (248, 208, 56)),
    "Tuna": Flavour((34, 92, 146), "fish", (86, 130, 168)),
    "Salmon": Flavour((228, 120, 96), "fish", (226, 128, 106)),
    "Sardine": Flavour((70, 110, 120), "fish", (122, 142, 154)),
    "Still": Flavour((52, 140, 206), "drop", (90, 178, 232)),
    "Sparkling": Flavour((28, 84, 168), "bubbles", (110, 186, 236)),
    "Natural": Flavour((190, 204, 210), "drop", (190, 222, 236)),
    "Lager": Flavour((206, 158, 40), "wheat", (222, 176, 70)),
    "Amber Ale": Flavour((164, 74, 26), "hops", (120, 156, 62)),
    "Pale Ale": Flavour((74, 130, 86), "hops", (132, 176, 70)),
    "Stout": Flavour((48, 34, 32), "hops", (170, 142, 84)),
    "Cola": Flavour((112, 22, 26), "bubbles", (132, 58, 40)),
    "Ginger": Flavour((196, 142, 72), "nuts", (212, 168, 98)),
    "Egg": Flavour((240, 196, 70), "wheat", (226, 184, 84)),
}
