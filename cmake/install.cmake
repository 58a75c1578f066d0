# What goes where on a system: `make install PREFIX=/usr DESTDIR=...`.
include(GNUInstallDirs)

# One directory for the programs: each finds the others beside itself. People's commands have names
# in bin, too.
install(TARGETS postriderd postrider sendmail RUNTIME DESTINATION ${CMAKE_INSTALL_SBINDIR})
file(RELATIVE_PATH from_bin ${CMAKE_INSTALL_FULL_BINDIR} ${CMAKE_INSTALL_FULL_SBINDIR})
function(install_link directory name target)
    install(CODE "
        set(link \"\$ENV{DESTDIR}${directory}/${name}\")
        message(STATUS \"Installing: \${link} -> ${target}\")
        file(MAKE_DIRECTORY \"\$ENV{DESTDIR}${directory}\")
        file(CREATE_LINK ${target} \"\${link}\" SYMBOLIC)")
endfunction()
foreach(name IN ITEMS postconf postmap postalias postqueue postsuper postcat postlog)
    install_link(${CMAKE_INSTALL_FULL_SBINDIR} ${name} postrider)
endforeach()
foreach(name IN ITEMS mailq newaliases)
    install_link(${CMAKE_INSTALL_FULL_BINDIR} ${name} ${from_bin}/sendmail)
endforeach()

# main.cf(5) is the registry of parameters, as the program itself prints it.
set(main_cf_page ${CMAKE_BINARY_DIR}/man/main.cf.5)
add_custom_command(OUTPUT ${main_cf_page}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/man
    COMMAND $<TARGET_FILE:postrider> postconf --manual > ${main_cf_page}
    DEPENDS postrider VERBATIM)
add_custom_target(manual ALL DEPENDS ${main_cf_page})
install(FILES ${main_cf_page} DESTINATION ${CMAKE_INSTALL_MANDIR}/man5)
foreach(section IN ITEMS 1 8)
    file(GLOB pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/man/*.${section})
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man${section})
endforeach()

# The programs look in /etc, whatever the prefix. What an administrator has written stays.
install(CODE "
    if(NOT EXISTS \"\$ENV{DESTDIR}/etc/postrider/main.cf\")
        # file(INSTALL) heeds DESTDIR itself.
        file(INSTALL \"${PROJECT_SOURCE_DIR}/etc/main.cf\" DESTINATION /etc/postrider)
    endif()")

configure_file(${PROJECT_SOURCE_DIR}/etc/systemd/postrider.service.in
    ${CMAKE_BINARY_DIR}/systemd/system/postrider.service @ONLY)
configure_file(${PROJECT_SOURCE_DIR}/etc/systemd/postrider-keeper@.service.in
    ${CMAKE_BINARY_DIR}/systemd/system/postrider-keeper@.service @ONLY)
configure_file(${PROJECT_SOURCE_DIR}/etc/systemd/postrider-user.service.in
    ${CMAKE_BINARY_DIR}/systemd/user/postrider.service @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/systemd/system/postrider.service
    ${CMAKE_BINARY_DIR}/systemd/system/postrider-keeper@.service
    ${PROJECT_SOURCE_DIR}/etc/systemd/postrider-keeper.socket
    ${PROJECT_SOURCE_DIR}/etc/systemd/postrider.socket
    DESTINATION lib/systemd/system)
install(FILES ${CMAKE_BINARY_DIR}/systemd/user/postrider.service DESTINATION lib/systemd/user)
install(FILES ${PROJECT_SOURCE_DIR}/etc/tmpfiles.conf DESTINATION lib/tmpfiles.d
    RENAME postrider.conf)
install(FILES ${PROJECT_SOURCE_DIR}/etc/sysusers.conf DESTINATION lib/sysusers.d
    RENAME postrider.conf)
install(FILES README.md CHANGELOG.md LICENSE etc/known_answers DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR})
