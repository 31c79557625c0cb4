# The CMake package of Tertulia's C library: the targets tertulia::tertulia (shared) and tertulia::tertulia_static.
get_filename_component(_tertulia_prefix "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET tertulia::tertulia)
  add_library(tertulia::tertulia SHARED IMPORTED)
  set_target_properties(tertulia::tertulia PROPERTIES
    IMPORTED_LOCATION "${_tertulia_prefix}/lib/@SHARED@"
    IMPORTED_SONAME "@SONAME@"
    INTERFACE_INCLUDE_DIRECTORIES "${_tertulia_prefix}/include")
endif()

if(NOT TARGET tertulia::tertulia_static)
  add_library(tertulia::tertulia_static STATIC IMPORTED)
  set_target_properties(tertulia::tertulia_static PROPERTIES
    IMPORTED_LOCATION "${_tertulia_prefix}/lib/libtertulia.a"
    INTERFACE_LINK_LIBRARIES "@LIBRARIES@"
    INTERFACE_INCLUDE_DIRECTORIES "${_tertulia_prefix}/include")
endif()

unset(_tertulia_prefix)
