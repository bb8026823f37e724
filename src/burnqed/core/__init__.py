"""The words of the field as types, and the ports that keep the parts apart. Imports nothing of burnqed but itself."""
