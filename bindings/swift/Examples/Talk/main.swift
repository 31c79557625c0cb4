import Tertulia
print(tertuliaVersion())
