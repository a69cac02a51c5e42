import engine_doubles

engine_doubles.install()
